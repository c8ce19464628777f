"""A student before its base's candidates: the groups are the base's, and so is what it is held against."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from assets.reports.collecting import reported_aggregations
from gsr_dagster.commands.tables import crossed_table
from gsr_dagster.experiment.keys import ArtifactKey, page_key
from gsr_dagster.method.scoring.aggregation_summary import AggregationSummary
from gsr_dagster.operations.lanes import lanes
from tests import school
from tests.running import recipe_of
from tests.school import STUDENT, School

SECOND = "llama-second"
BASES = {STUDENT: ("base", "llama-tiny"), SECOND: ("student", STUDENT)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Iterator[School]:
    """The school with a student of a student, and the base's skill at reading far below its students'."""
    document = school.document(tmp_path_factory.mktemp("crossed"))
    first = document["students"][STUDENT]
    document["students"] = {STUDENT: first, SECOND: {**first, "base": STUDENT}}
    document["aggregations"] = {"crossed": {"kind": "crossed_refinement"}}
    with pytest.MonkeyPatch.context() as patch:
        school.play(patch)
        patch.setattr("resources.models.weights.merged", lambda base, adapter: Path(f"{base}+{adapter}"))
        patch.setattr(
            "resources.engines.loading._engine",
            lambda model, checkpoint: school.ScriptedEngine(
                school.SKILLS["student" if checkpoint else Path(model.source).name]
            ),
        )
        made = School(document, tmp_path_factory.mktemp("artifacts"))
        made.run_all()
        yield made


def summary_of(finished: School, lane: str, subject: str) -> AggregationSummary:
    return finished.store.summary(ArtifactKey(f"{lane}/aggregations", f"sums|{subject}"), AggregationSummary)


@pytest.mark.parametrize("student", BASES)
def test_a_student_answers_the_very_groups_that_its_base_refined(finished, student):
    lane, base = BASES[student]
    refined = finished.store.read(ArtifactKey(f"{lane}/self_refinements", f"sums|{base}"))
    crossed = finished.store.read(ArtifactKey("student/aggregation/crossed", f"sums|{student}"))
    shown = {row["prompt_id"]: row["candidate_ids"] for row in refined}
    assert shown
    assert {row["prompt_id"]: row["candidate_ids"] for row in crossed} == shown
    assert {row["prompt_id"].split("/")[0] for row in crossed} == {base}


@pytest.mark.parametrize("student", BASES)
def test_it_is_held_against_the_base_s_vote_and_refinements_of_them(finished, student):
    lane, base = BASES[student]
    crossed = summary_of(finished, "student", student).crossed["crossed"]
    own = {entry.aggregation: entry.score for entry in summary_of(finished, lane, base).aggregations}
    assert (crossed.vote, crossed.base) == (own["majority"], own["self_refinement"])
    rows = finished.store.read(ArtifactKey("student/aggregations", f"sums|{student}"))
    answered = [row for row in rows if row["aggregation"] == "crossed"]
    assert crossed.groups == len(answered) == 48
    assert crossed.student.estimate == pytest.approx(np.mean([row["correct"] for row in answered]))
    assert crossed.minus_base.estimate == pytest.approx(crossed.student.estimate - crossed.base.estimate)
    assert crossed.minus_vote.estimate == pytest.approx(crossed.student.estimate - crossed.vote.estimate)


def test_base_models_have_no_base_and_the_table_of_the_same_groups_holds_none_of_it(finished):
    assert not (Path(finished.store.root) / "base/aggregation").exists()
    for lane, subject in (("base", "llama-tiny"), ("student", STUDENT)):
        summary = summary_of(finished, lane, subject)
        assert [entry.aggregation for entry in summary.aggregations] == ["majority", "self_refinement"]
    assert summary_of(finished, "base", "llama-tiny").crossed == {}
    summaries = [
        finished.store.manifest(ArtifactKey("base/aggregations", f"sums|llama-{n}")).summary for n in ("tiny", "big")
    ]
    assert not any("crossed" in summary for summary in summaries)


def test_dagster_waits_for_the_base_of_each_student_alone(finished):
    graph = finished.definitions.resolve_asset_graph()
    name = finished.experiment.name
    for round_number, (student, (lane, base)) in enumerate(BASES.items(), 1):
        crossed = graph.get(page_key(name, "student/aggregation/crossed", round_number))
        upstream = graph.get(page_key(name, f"{lane}/graded_candidates"))
        mapping = crossed.partition_mappings[upstream.key]
        awaited = mapping.get_upstream_mapped_partitions_result_for_partitions(
            crossed.partitions_def.subset_with_partition_keys([f"sums|{student}"]),
            crossed.partitions_def,
            upstream.partitions_def,
        )
        assert list(awaited.partitions_subset.get_partition_keys()) == [f"sums|{base}"]


def test_other_candidates_of_the_base_are_refined_anew_and_nothing_else_of_the_student(finished, tmp_path):
    benchmark = {**finished.written["benchmarks"]["sums"], "samples": 6}
    more = finished.copy(tmp_path / "more", benchmarks={"sums": benchmark})
    key = ArtifactKey("student/aggregation/crossed", f"sums|{STUDENT}")
    before = recipe_of(finished.experiment, finished.store, key)
    assert before.fingerprint == recipe_of(more.experiment, more.store, key).fingerprint
    families = {"llama": {**finished.written["families"]["llama"]}}
    families["llama"]["tiny"] = {**families["llama"]["tiny"], "max_new_tokens": 60}
    other = finished.copy(tmp_path / "other", families=families)
    assert before.fingerprint != recipe_of(other.experiment, other.store, key).fingerprint
    assert not any(lane.stale(finished.store, p) for lane in lanes(finished.experiment) for p in lane.partitions)


def test_the_terminal_and_the_page_show_one_table_of_it(finished):
    table = crossed_table(reported_aggregations(finished.experiment, finished.store))
    assert table is not None
    console = Console(file=StringIO(), width=200)
    console.print(table)
    assert "student − base" in console.file.getvalue()
    assert console.file.getvalue().count("sums") == 2
    report = finished.store.local_files(ArtifactKey("student_comparison")) / "report.html"
    assert "The candidates of a student" in report.read_text()
