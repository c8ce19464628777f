"""How far labels and verdicts agree, against a few lines that count them by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gsr_dagster.method.scoring.agreement import compare_labels, differing

LABELS = st.sampled_from([1.0, 0.0, None, 0.5, -1.0])
ROWS = st.lists(st.tuples(st.sampled_from("pqr"), st.booleans(), LABELS), max_size=12)


@settings(max_examples=100, deadline=None)
@given(rows=ROWS)
def test_labels_of_0_and_1_are_compared_and_others_are_counted(rows):
    graded = [{"problem_id": p, "correct": correct, "recorded_label": label} for p, correct, label in rows]
    labels = compare_labels(graded, seed=0)
    if all(label is None for _, _, label in rows):
        assert labels is None
        return
    verdicts = [(p, correct, label == 1.0) for p, correct, label in rows if label in (0.0, 1.0)]
    assert labels.not_compared == sum(label in (0.5, -1.0) for _, _, label in rows)
    assert labels.problems == len({p for p, _, _ in verdicts})
    assert labels.problems_that_differ == len({p for p, ours, theirs in verdicts if ours != theirs})
    assert len(differing(graded)) == sum(ours != theirs for _, ours, theirs in verdicts)
    if not verdicts:
        assert labels.agreement is None
        return
    both = labels.agreement
    assert both.share.estimate == pytest.approx(sum(o == t for _, o, t in verdicts) / len(verdicts))
    assert both.only_judge_correct == sum(theirs and not ours for _, ours, theirs in verdicts)
    assert both.only_grader_correct == sum(ours and not theirs for _, ours, theirs in verdicts)
    assert both.answers == len(verdicts)


def test_a_row_without_the_column_has_no_label():
    assert compare_labels([{"problem_id": "p", "correct": True}], seed=0) is None
    assert differing([{"problem_id": "p", "correct": True}]) == []
