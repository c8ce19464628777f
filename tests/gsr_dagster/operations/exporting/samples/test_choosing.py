"""Which samples are taken away: what is there and whole, and no problem by accident that must not be published."""

import copy
from pathlib import Path

import pytest

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.experiment.problems.problem_sets import ProblemSet
from gsr_dagster.operations.exporting.new_folder import ExportError
from gsr_dagster.operations.exporting.samples import gating
from gsr_dagster.operations.exporting.samples.choosing import Asked, choose
from gsr_dagster.operations.exporting.samples.folder import export_samples
from gsr_dagster.operations.exporting.samples.gating import gated
from resources.store.errors import DamageError
from tests.resources.problems.hub import REPOSITORY, Hub, serving
from tests.school import STUDENT, School


@pytest.fixture
def school(finished_school: School, tmp_path: Path) -> School:
    return finished_school.copy(tmp_path / "artifacts")


def removed(school: School, asset: str, partition: str) -> None:
    (Path(school.store.root) / ArtifactKey(asset, partition).path / "manifest.json").unlink()


def with_problems(school: School, source: str) -> Experiment:
    """Return the experiment as if its benchmark came from another source."""
    written = copy.deepcopy(school.written)
    written["benchmarks"]["sums"]["source"] = source
    if source.startswith("hf:"):
        written["benchmarks"]["sums"]["options"] = {"split": "test"}
    return Experiment.model_validate(written)


def test_what_is_not_made_yet_is_named_and_the_rest_is_taken(school):
    removed(school, "base/gap_reports", "sums|llama-tiny")
    removed(school, "student/graded_candidates", f"sums|{STUDENT}")
    removed(school, "training_sets", STUDENT)
    chosen = choose(school.experiment, school.store, Asked())
    assert [run.subject for run in chosen.pools] == ["llama-tiny", "llama-big"]
    assert [run.subject for run in chosen.refined] == ["llama-big"]
    assert chosen.taught == []
    assert chosen.missing == {
        "base/gap_reports[sums|llama-tiny]": "not made yet",
        f"student/graded_candidates[sums|{STUDENT}]": "not made yet",
        f"training_sets[{STUDENT}]": "not made yet",
    }


def test_verdicts_on_samples_that_changed_since_are_not_taken(school):
    school.rewrite("base/candidate_pools", "sums|llama-tiny", note="made again")
    chosen = choose(school.experiment, school.store, Asked(models=["llama-tiny", "llama-big"]))
    assert [run.subject for run in chosen.pools] == ["llama-big"]
    said = "base/candidate_pools[sums|llama-tiny] changed since it was made"
    assert chosen.missing == {"base/graded_candidates[sums|llama-tiny]": said}


def test_what_is_stored_and_not_graded_is_left_out_and_said(school, tmp_path):
    school.rewrite("base/graded_candidates", "sums|llama-tiny", lambda rows: [r for r in rows if r["sample_index"] < 2])
    chosen = choose(school.experiment, school.store, Asked(models=["llama-tiny"]))
    said = "48 candidates beyond those that the experiment asks for"
    assert chosen.left_out == {"base/candidate_pools[sums|llama-tiny]": said}
    card = export_samples(chosen, tmp_path / "out", "datasets")
    assert [part.rows for part in card.parts] == [48]
    assert said in (tmp_path / "out" / "README.md").read_text()


def test_where_nothing_is_there_the_error_says_what_makes_it(school):
    removed(school, "base/candidate_pools", "sums|llama-big")
    with pytest.raises(
        ExportError, match=r"nothing to export. gsr run makes what is missing: base/candidate_pools\[sums"
    ):
        choose(school.experiment, school.store, Asked(models=["llama-big"]))


def test_a_damaged_shard_leaves_no_folder(school, tmp_path):
    shard = next(Path(school.store.root).glob("base/candidate_pools/sums/llama-big/*/shard-*"))
    shard.write_bytes(b"damaged")
    chosen = choose(school.experiment, school.store, Asked())
    with pytest.raises(DamageError):
        export_samples(chosen, tmp_path / "new" / "out", "datasets")
    assert list((tmp_path / "new").iterdir()) == []


def test_problems_of_gpqa_are_taken_only_where_that_is_said(school, tmp_path):
    (tmp_path / "gpqa_diamond.jsonl").write_text("")
    experiment = with_problems(school, f"file:{tmp_path}/gpqa_diamond.jsonl")
    chosen = choose(experiment, school.store, Asked())
    assert chosen.pools == []
    assert chosen.gated.keys() == {"sums"}
    export_samples(chosen, tmp_path / "out", "datasets")
    assert "what was written on sums: it is named after GPQA" in (tmp_path / "out" / "README.md").read_text()
    assert not (tmp_path / "out" / "candidates").exists()
    with pytest.raises(ExportError, match="--gated takes these problems too: sums: it is named after GPQA"):
        choose(experiment, school.store, Asked(benchmarks=["sums"]))
    export_samples(choose(experiment, school.store, Asked(with_gated=True)), tmp_path / "all", "datasets")
    card = (tmp_path / "all" / "README.md").read_text()
    assert "**Do not publish this.**" in card
    assert (tmp_path / "all" / "candidates").exists()


def at_the_hub(repository: str) -> str | None:
    named = {"source": f"hf:{repository}@main", "options": {"split": "test"}}
    return gated("b", ProblemSet.model_validate(named))


def test_the_hub_is_asked_whether_a_data_set_is_gated(monkeypatch):
    monkeypatch.setattr(gating, "KNOWN", "\0")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    hub = Hub({}, card_is_open=True)
    with serving(hub) as address:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        assert at_the_hub(REPOSITORY) == f"{REPOSITORY} is gated at the hub: who reads it has accepted its terms"
        unknown = at_the_hub("someone/else")
    assert unknown.startswith("the hub could not be asked whether someone/else is gated (RepositoryNotFoundError: ")
    assert any(REPOSITORY in line for line in hub.asked)


def test_a_data_set_of_the_registry_is_known_to_be_open_and_nothing_is_asked():
    assert gated("math500", ProblemSet(source="hub:math500")) is None
