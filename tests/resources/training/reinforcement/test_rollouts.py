"""The prompts of all steps, in an order by the seed, and the rollouts that are kept of them."""

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.store.columns import COLUMNS
from resources.training.process import RefusedError
from resources.training.reinforcement.grpo_training import order_of_prompts, write_prompts
from resources.training.reinforcement.rollouts import Rollouts
from resources.training.rows import read_tokens
from resources.training.trainer import OF_A_PROMPT, write_rows


def training(epochs: float, batch_size: int, samples: int) -> dict:
    return {"epochs": epochs, "batch_size": batch_size, "rollouts": {"samples": samples}}


ORDERS = {
    "prompts": st.integers(1, 60),
    "a_step": st.integers(1, 12),
    "samples": st.integers(2, 8),
    "epochs": st.floats(0.01, 6),
    "seed": st.integers(0, 2**32),
}


@settings(max_examples=200)
@given(**ORDERS)
def test_every_prompt_comes_as_often_as_the_epochs_say_in_whole_steps(prompts, a_step, samples, epochs, seed):
    order = order_of_prompts(prompts, training(epochs, a_step * samples, samples), seed)
    assert len(order) % a_step == 0
    assert len(order) == a_step or abs(len(order) - epochs * prompts) <= a_step / 2
    often = Counter(order)
    counts = [often[place] for place in range(prompts)]
    assert sum(counts) == len(order)
    assert max(counts) - min(counts) <= 1


@given(**ORDERS)
def test_each_epoch_has_all_its_prompts_before_the_next_begins(prompts, a_step, samples, epochs, seed):
    order = order_of_prompts(prompts, training(epochs, a_step * samples, samples), seed)
    parts = [order[begin : begin + prompts] for begin in range(0, len(order), prompts)]
    assert all(len(set(part)) == len(part) for part in parts)


@given(prompts=st.integers(20, 60), seed=st.integers(0, 2**32))
def test_the_order_is_one_of_the_seed_and_another_in_each_epoch(prompts, seed):
    settings = training(2, 4, 4)
    order = order_of_prompts(prompts, settings, seed)
    assert order == order_of_prompts(prompts, settings, seed)
    assert order != order_of_prompts(prompts, settings, seed + 1)
    assert order[:prompts] != order[prompts:]
    assert order[:prompts] != sorted(order[:prompts])


@given(prompts=st.integers(1, 60), epochs=st.floats(0.1, 6))
def test_the_size_of_a_group_changes_no_order_where_as_many_prompts_make_a_step(prompts, epochs):
    orders = [order_of_prompts(prompts, training(epochs, 4 * samples, samples), 7) for samples in (2, 8)]
    assert orders[0] == orders[1]


def test_no_prompt_at_all_is_refused():
    with pytest.raises(RefusedError, match="there is no prompt to write rollouts to"):
        order_of_prompts(0, training(1, 4, 4), 7)


PROMPTS = st.fixed_dictionaries(
    {name: st.text(max_size=20) for name in OF_A_PROMPT if name != "gold"} | {"gold": st.none() | st.text(max_size=20)}
)


@settings(max_examples=25)
@given(rows=st.lists(PROMPTS, max_size=30))
def test_prompts_reach_the_training_as_they_are_chosen(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prompts")
    write_rows(folder / "rows.parquet", rows, OF_A_PROMPT)
    write_prompts(folder / "rows.parquet", folder / "tokens.arrow")
    read = read_tokens(folder / "tokens.arrow")
    assert read.to_list() == [
        {"prompt" if name == "messages" else name: row[name] for name in OF_A_PROMPT} for row in rows
    ]


def rows(step: int, process: int = 0, count: int = 3) -> list[dict]:
    plain = {"string": "x", "int64": 1, "double": 0.5}
    row = {name: plain[str(of)] for name, of in COLUMNS["training_rollouts"].items()}
    return [{**row, "rollout_id": f"{step}/{process}/{place}", "step": step + 1} for place in range(count)]


def kept(rollouts: Rollouts, rows_at_once: int = 1000) -> list[str]:
    return [row["rollout_id"] for part in rollouts.shards(rows_at_once) for row in part]


def test_what_is_kept_comes_back_by_step_in_parts_of_any_size(tmp_path):
    rollouts = Rollouts(tmp_path / "rollouts")
    rollouts.begin(0)
    assert list(rollouts.shards(2)) == []
    wanted = []
    for step in (0, 2, 10, 100):  # steps of num_iterations share their rollouts
        for process in (0, 1):
            rollouts.keep(step, process, rows(step, process))
            wanted += rows(step, process)
    parts = list(rollouts.shards(7))
    assert [len(part) for part in parts] == [7, 7, 7, 3]
    assert [row for part in parts for row in part] == wanted


@pytest.mark.parametrize("going_on", [0, 1, 10, 12])
def test_a_training_that_goes_on_loses_the_rollouts_that_it_draws_again_and_no_other(tmp_path, going_on):
    rollouts = Rollouts(tmp_path / "rollouts")
    for step in range(12):
        for process in (0, 1):
            rollouts.keep(step, process, rows(step, process, 1))
    rollouts.begin(going_on)
    assert kept(rollouts) == [f"{step}/{process}/0" for step in range(going_on) for process in (0, 1)]
    for step in range(going_on, 12):
        rollouts.keep(step, 0, rows(step, count=1))
    assert kept(rollouts)[2 * going_on :] == [f"{step}/0/0" for step in range(going_on, 12)]


def test_rollouts_that_are_drawn_again_take_the_place_of_those_before(tmp_path):
    rollouts = Rollouts(tmp_path)
    rollouts.keep(1, 0, rows(1, count=3))
    rollouts.keep(1, 0, rows(1, count=2))
    assert kept(rollouts) == ["1/0/0", "1/0/1"]
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001-of-0.parquet"]


def test_rollouts_are_written_whole_or_not_at_all_and_what_a_kill_left_stops_no_later_start(tmp_path, monkeypatch):
    rollouts = Rollouts(tmp_path)
    rollouts.keep(0, 0, rows(0))
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", interrupt)
        patch.setattr("pathlib.Path.unlink", lambda *_, **__: None)  # who is killed does not tidy up
        with pytest.raises(KeyboardInterrupt):
            rollouts.keep(1, 0, rows(1))
    assert len(list(tmp_path.iterdir())) == 2
    assert kept(rollouts) == ["0/0/0", "0/0/1", "0/0/2"]
    rollouts.begin(1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000-of-0.parquet"]


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_rollout_holds_every_column_of_its_table(tmp_path):
    import pyarrow.parquet as pq

    Rollouts(tmp_path).keep(0, 0, rows(0))
    read = pq.read_table(tmp_path / "step-000000-of-0.parquet")
    assert {field.name: field.type for field in read.schema} == COLUMNS["training_rollouts"]
    assert json.loads(json.dumps(read.to_pylist())) == rows(0)
