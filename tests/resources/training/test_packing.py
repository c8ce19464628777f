"""Rows in packs: the two parts of the loss stay weighed by row, and no row reads another."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.training.rows import IGNORED, Fitting, by_token, read_tokens, weighted, write_tokens
from resources.training.targets import Target
from tests.resources.training.lessons import train

rows = st.lists(
    st.tuples(
        st.sampled_from(["refinement", "direct"]),
        st.builds(
            Target,
            st.lists(st.integers(1, 9), min_size=1, max_size=9),
            st.lists(st.integers(1, 9), min_size=1, max_size=9),
        ),
    ),
    min_size=1,
    max_size=8,
)


def token_weights(made) -> list[tuple[int, float]]:
    return sorted(
        (label, round(weight, 5))
        for row in made
        for label, weight in zip(row["labels"], row["loss_weights"], strict=True)
        if label != IGNORED
    )


@settings(deadline=None)  # the first loads datasets
@given(rows=rows, refine_weight=st.floats(0.1, 0.9))
def test_every_learned_token_keeps_the_weight_of_its_row_in_a_pack(rows, refine_weight):
    with TemporaryDirectory() as folder:
        write_tokens(Path(folder, "tokens.arrow"), rows)
        tokens = read_tokens(Path(folder, "tokens.arrow"))
        apart, packed = (list(weighted(tokens, refine_weight, pack_to)) for pack_to in (None, 24))
    assert token_weights(packed) == token_weights([{**row, **by_token(row)} for row in apart])
    assert all(len(row["input_ids"]) <= 24 for row in packed)
    whole = {(*target.prompt, *target.answer) for _, target in rows}
    for row in packed:
        at = 0
        for length in row["seq_lengths"]:
            assert tuple(row["input_ids"][at : at + length]) in whole
            at += length


@given(rows=rows, longest=st.integers(1, 20))
def test_rows_that_are_cut_or_have_no_room_are_counted(rows, longest):
    fitting = Fitting(longest)
    kept = list(fitting.of(rows))
    assert len(kept) == fitting.rows == len(rows) - fitting.dropped
    assert fitting.dropped == sum(len(target.prompt) >= longest for _, target in rows)
    assert all(len(target.prompt) + len(target.answer) <= longest for _, target in kept)
    full = sum(len(target.prompt) + len(target.answer) > longest > len(target.prompt) for _, target in rows)
    assert fitting.cut == full


def test_a_pack_has_the_loss_of_its_rows_apart(small_model, tmp_path):
    """One step over all rows: in packs of several rows, and each row alone."""
    one_step = {"batch_size": 12, "rows_at_once": 1, "refine_weight": 0.8}
    apart = train(small_model, tmp_path / "apart", **one_step)
    packed = train(small_model, tmp_path / "packed", trainer={"packing": True}, **one_step)
    assert len(apart.history) == len(packed.history) == 1
    assert packed.history[0]["loss"] == pytest.approx(apart.history[0]["loss"], rel=2e-3)
