"""A student that learns from rewards: its prompts, its rollouts, and that no teacher is asked."""

import json
from pathlib import Path

import pytest

from assets.reports.student_comparison import side_by_side
from gsr_dagster.experiment.keys import TRAINING_PROBLEMS, ArtifactKey
from gsr_dagster.method.prompting.prompts import direct_messages
from gsr_dagster.operations.lanes import lanes
from gsr_dagster.operations.provenance import TaughtRow
from gsr_dagster.viewing.reading.training_rows import siblings
from resources.store.lineage import walk
from resources.store.pruning import superseded
from resources.store.views import session, view_names
from tests.assets.rewriting import WARN
from tests.assets.teaching import rewarded
from tests.assets.teaching.rewarded import BY_REWARDS
from tests.assets.test_check_texts import parts
from tests.school import STUDENT, School

PROMPTS, CHECKPOINT = ArtifactKey("training_sets", BY_REWARDS), ArtifactKey("lora_checkpoints", BY_REWARDS)


@pytest.fixture(scope="module")
def patched():
    with pytest.MonkeyPatch.context() as patch:
        rewarded.play(patch)
        yield


@pytest.fixture(scope="module")
def alone(patched, tmp_path_factory) -> School:
    return rewarded.finished(tmp_path_factory.mktemp("files"), tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def beside(patched, tmp_path_factory) -> School:
    return rewarded.finished(tmp_path_factory.mktemp("files"), tmp_path_factory.mktemp("store"), taught=True)


@pytest.fixture
def copied(alone, tmp_path) -> School:
    return alone.copy(tmp_path / "copied")


def test_without_a_taught_student_the_graph_has_no_teacher(alone, beside):
    def assets(made: School) -> set[str]:
        graph = made.definitions.resolve_asset_graph()
        return {key.path[-1] for key in graph.get_all_asset_keys()}

    teachers = {"teacher_refinements", "teacher_solutions"}
    assert not teachers & assets(alone)
    assert teachers <= assets(beside)
    assert not any(alone.store.manifest(ArtifactKey(asset, BY_REWARDS)) for asset in teachers)
    assert [beside.store.existing(ArtifactKey(asset, BY_REWARDS)).rows for asset in teachers] == [0, 0]


def test_its_prompts_are_those_that_a_teacher_would_have_been_asked(beside):
    refined = {
        tuple(row["candidate_ids"]): row["messages"]
        for row in beside.store.read(ArtifactKey("teacher_refinements", STUDENT))
    }
    own = [row for row in beside.store.read(PROMPTS) if row["kind"] == "refinement"]
    assert {tuple(row["candidate_ids"]): row["messages"] for row in own} == refined
    assert len(own) == len(refined)


def test_its_direct_prompts_are_as_many_and_show_what_a_student_sees(alone):
    rows = alone.store.read(PROMPTS)
    problems = {row["problem_id"]: row["problem"] for row in alone.store.read(TRAINING_PROBLEMS)}
    direct = [row for row in rows if row["kind"] == "direct"]
    assert len(direct) == len(problems) == len(rows) / 2
    shown = [("What is 1 + 1?", "The answer is \\boxed{2}.")]
    assert {row["problem_id"]: json.loads(row["messages"]) for row in direct} == {
        name: direct_messages(problem, shown) for name, problem in problems.items()
    }
    assert {row["completion"] for row in rows} == {""}


def test_its_lineage_has_its_candidates_and_no_teacher(alone, beside):
    for made in (alone, beside):
        links = list(walk(made.store, "lora_checkpoints", BY_REWARDS))
        assert all(link.holds for link in links)
        named = " ".join(link.text for link in links)
        assert f"training_candidates[{BY_REWARDS}]" in named
        assert "teacher" not in named


def test_its_rollouts_are_a_table_beside_its_checkpoint(alone):
    counts = alone.store.existing(CHECKPOINT).summary
    rows = alone.store.existing(PROMPTS).rows
    assert counts["rollouts"] == counts["rollouts_with_gradient"] == 2 * rows
    assert (counts["rewarded_rollouts"], counts["timed_out_rollouts"]) == (rows, 0)
    assert "training_rollouts" in view_names(alone.store)
    query = "select partition, count(*), sum(reward), min(step), max(step) from training_rollouts group by partition"
    assert session(alone.store, query).execute(query).fetchall() == [(BY_REWARDS, 2 * rows, float(rows), 1, 2)]
    files = {path.name for path in alone.store.local_files(CHECKPOINT).iterdir()}
    assert not any(name.endswith(".parquet") for name in files)


def test_a_damaged_rollout_breaks_the_lineage(copied):
    (shard,) = Path(copied.store.root).glob("lora_checkpoints/**/training_rollouts/*.parquet")
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    broken = [link.text for link in walk(copied.store, "lora_checkpoints", BY_REWARDS) if not link.holds]
    assert shard.name in broken[0]


def test_rollouts_that_nothing_refers_to_any_more_are_pruned_as_a_part_of_their_checkpoint(copied):
    fingerprint = copied.store.existing(CHECKPOINT).fingerprint
    (Path(copied.store.root) / CHECKPOINT.path / "manifest.json").unlink()
    found = superseded(copied.store, in_use=(), days=0).files
    assert {(file.asset, "training_rollouts/" in file.name) for file in found} == {
        ("lora_checkpoints", True),
        ("lora_checkpoints", False),
    }
    assert not superseded(copied.store, in_use=[("lora_checkpoints", fingerprint)], days=0).files


@pytest.mark.parametrize("kind", ["refinement", "direct"])
def test_a_prompt_is_shown_with_what_was_written_to_it(alone, kind):
    row = next(row for row in alone.store.read(PROMPTS) if row["kind"] == kind)
    shown = TaughtRow(alone.experiment, alone.store, BY_REWARDS, row)
    why = list(shown.why())
    assert f"{BY_REWARDS} wrote 2 rollouts to it while it was trained, 1 of them right" in why[-1]
    assert any("candidates correct" in line for line in why) == (kind == "refinement")
    right, wrong = siblings(shown)
    assert (right.row["correct"], wrong.row["correct"]) == (True, False)
    assert right.why.endswith("reward 1, advantage +1.00")
    assert wrong.why.endswith("reward 0, advantage −1.00")


def test_students_of_one_model_are_compared_with_each_other_too(beside):
    assert side_by_side(beside.experiment) == [(BY_REWARDS, STUDENT)]
    rows = [row for row in beside.store.read(ArtifactKey("student_comparison")) if row["relation"] == "side by side"]
    (row,) = rows
    assert (row["student"], row["base"]) == (BY_REWARDS, STUDENT)
    for score in ("pass_at_1", "maj_at_k", "self_ref_at_k", "refinement_gap", "pass_at_k", "distinct_answers"):
        change = row[score]
        assert change["low"] <= change["estimate"] <= change["high"]
        assert change["estimate"] == pytest.approx(change["student"] - change["base"])
    graded = beside.store.read(ArtifactKey("student/graded_candidates", f"sums|{BY_REWARDS}"))
    classes = {(r["problem_id"], r["answer_class"]) for r in graded if r["answer_class"] is not None}
    assert row["distinct_answers"]["student"] == pytest.approx(len(classes) / row["problems"])
    report = (beside.store.local_files(ArtifactKey("student_comparison")) / "report.html").read_text()
    assert "Students of one model side by side" in report


def test_imitation_comes_first_where_the_base_is_a_student_that_was_taught(patched, monkeypatch, tmp_path):
    monkeypatch.setattr("resources.engines.loading._loaded", {})
    monkeypatch.setattr("resources.models.weights.merged", lambda base, adapter: Path(f"{base}+{adapter}"))
    (tmp_path / "files").mkdir()
    made = rewarded.finished(tmp_path / "files", tmp_path / "store", taught=True, base=STUDENT)
    assert made.experiment.rounds == {1: [STUDENT], 2: [BY_REWARDS]}
    graph = made.definitions.resolve_asset_graph()
    second = {key.path[-1] for key in graph.get_all_asset_keys() if "round_2" in key.path}
    assert "lora_checkpoints" in second
    assert "teacher_refinements" not in second
    links = [link.text for link in walk(made.store, "lora_checkpoints", BY_REWARDS)]
    assert any(text.strip().startswith(f"lora_checkpoints[{STUDENT}]") for text in links)
    assert any(text.strip().startswith(f"teacher_refinements[{STUDENT}]") for text in links)
    rows = made.store.read(ArtifactKey("student_comparison"))
    assert {(row["student"], row["base"]) for row in rows} == {(STUDENT, "llama-tiny"), (BY_REWARDS, STUDENT)}


def test_nothing_is_made_twice_and_every_lane_is_current(alone, beside):
    for made in (alone, beside):
        assert not [
            key for lane in lanes(made.experiment) for p in lane.partitions for key in lane.stale(made.store, p)
        ]


@pytest.mark.parametrize(
    ("change", "check", "says"),
    [
        (
            lambda n: {"reward": 0.6 - 0.02 * n + 0.01 * (n % 2)},
            "reward_kept",
            "its whole interval must not be below 0",
        ),
        (lambda n: {"truncated": n / 20}, "rollouts_end", "92.5% of the rollouts of 4 steps are cut off"),
        (lambda n: {"no_answer": n / 20}, "rollouts_answer", "have no answer"),
        (lambda n: {"timed_out": 0.5}, "rewards_in_time", "made the grader give up"),
        (lambda n: {"groups_without_gradient": 0.95}, "groups_teach", "95.0% of the groups have equal rewards"),
    ],
)
def test_a_training_that_collapses_is_a_warning(copied, change, check, says):
    assert all(found.passed for found in copied.checks("lora_checkpoints", BY_REWARDS).values())
    copied.rewrite("lora_checkpoints", BY_REWARDS, lambda rows: [{**row, **change(row["step"])} for row in rows])
    found = copied.checks("lora_checkpoints", BY_REWARDS)
    assert {name for name, one in found.items() if not one.passed} == {check}
    assert found[check].severity is WARN
    assert says in found[check].description
    for one in found.values():
        assert (parts(one.description)["advice"] is None) == one.passed


def test_a_reward_that_wavers_is_none_that_falls(copied):
    copied.rewrite(
        "lora_checkpoints", BY_REWARDS, lambda rows: [{**r, "reward": 0.4 + 0.2 * (r["step"] % 2)} for r in rows]
    )
    assert copied.checks("lora_checkpoints", BY_REWARDS)["reward_kept"].passed


def test_the_checks_of_rewards_ask_nothing_of_imitation_nor_the_others_of_rewards(beside):
    taught, by_rewards = (beside.checks("lora_checkpoints", name) for name in (STUDENT, BY_REWARDS))
    assert taught["reward_kept"].description == "0 rollouts, since it was trained by imitation: none is asked for"
    assert by_rewards["loss_fell"].description.startswith("0 losses compared")
    sets = beside.checks("training_sets", BY_REWARDS)
    assert all(check.passed for check in sets.values())
    assert "none is asked of a teacher" in sets["teacher_yields"].description
