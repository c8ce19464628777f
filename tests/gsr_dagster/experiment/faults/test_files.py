"""Whole files: right ones, empty ones, and those with several mistakes."""

import pytest

from gsr_dagster.experiment.faults.examples import SMALLEST
from tests.gsr_dagster.experiment.faults.refused import RIGHT, changed, said


def test_the_right_file_is_accepted(tmp_path):
    assert said(tmp_path, RIGHT) == []


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("", "line 1: it is empty. An experiment needs at least"),
        ("# nothing yet\n", "line 1: it is empty. An experiment needs at least"),
        ("- a\n- b\n", "line 1: it is a list, and keys are wanted: leave the '- ' at the beginning of its lines out."),
        ("name=mine", "line 1: it is one text, 'name=mine', and keys are wanted: write KEY: VALUE"),
    ],
)
def test_a_file_of_another_form_is_told_the_least_that_it_needs(tmp_path, text, first):
    lines = said(tmp_path, text)
    assert lines[0].startswith(first)
    assert lines[2:-2] == [line.strip() for line in SMALLEST.splitlines()]
    assert lines[-1] == "`gsr init` writes one for a file of problems"


def test_the_least_that_a_file_needs_is_enough(tmp_path):
    (tmp_path / "mine.csv").touch()
    assert said(tmp_path, SMALLEST) == []


def test_several_mistakes_are_told_in_the_order_of_their_lines(tmp_path):
    text = changed("k: 4", "k: four").replace("base: qwen-7b", "bsae: qwen-7b").replace("kind: vllm", "kind: vlm")
    assert [line.partition(",")[0] for line in said(tmp_path, text)] == ["line 3", "line 9", "line 22"]


def test_a_mistake_in_what_is_taken_over_is_told_where_it_stands(tmp_path):
    text = changed("  direct: {temperature: 0.7,", "  direct: &usual {temperature: hot,")
    text = text.replace(
        "  refinement: {temperature: 0.7, max_new_tokens: 1000}\n  cand", "  refinement: {<<: *usual, top_p: 1}\n  cand"
    )
    lines = said(tmp_path, text)
    assert [line.partition(": ")[0] for line in lines] == [
        "line 16, evaluation.direct.temperature",
        "line 16, evaluation.refinement.temperature",
    ]
