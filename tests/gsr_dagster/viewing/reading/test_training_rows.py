"""A training row beside what else its teacher wrote to the same prompt."""

import pytest

from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.method.rejection_sampling import teaches
from gsr_dagster.operations.provenance import TaughtRow
from gsr_dagster.viewing.reading.training_rows import siblings, training_row
from tests.school import STUDENT

SAMPLES = {"refinement": ("teacher_refinements", "refinement_id"), "direct": ("teacher_solutions", "solution_id")}


@pytest.mark.parametrize("kind", SAMPLES)
def test_every_other_sample_of_the_prompt_is_shown_with_its_row_or_without(school, kind):
    asset, column = SAMPLES[kind]
    taught = school.store.read(ArtifactKey("training_sets", STUDENT))
    row_of = {row["teacher_sample_id"]: row["row_id"] for row in taught}
    drawn = school.store.read(ArtifactKey(asset, STUDENT))
    prompts = {sample[column]: sample["prompt_id"] for sample in drawn}
    seen = set()
    for row in (row for row in taught if row["kind"] == kind):
        shown = training_row(school.store, STUDENT, row["row_id"])
        beside = siblings(TaughtRow(school.experiment, school.store, STUDENT, shown.row))
        own = row["teacher_sample_id"]
        assert {other.id for other in beside} == {
            name for name, prompt in prompts.items() if prompt == prompts[own] and name != own
        }
        for other in beside:
            assert other.row_id == row_of.get(other.id)
            assert (other.why == "not kept") == (not teaches(other.row))
            assert other.row_id is None or other.why == "in the training set too"
            seen.add(other.why)
    assert "not kept" in seen
