"""Exported pools that `gsr import` makes an experiment of: run again, they have the verdicts and the scores that they had."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from gsr_dagster.commands.main import main
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.operations.exporting.samples.choosing import Asked, choose
from gsr_dagster.operations.exporting.samples.folder import WHOLE, export_samples
from resources.store.artifacts import ArtifactStore
from tests.school import School

MODEL = "llama-big"


@pytest.fixture
def taken(finished_school: School, tmp_path: Path):
    def export(form: str) -> Path:
        asked = Asked(models=[MODEL])
        chosen = choose(finished_school.experiment, finished_school.store, asked, with_more_than_pools=form in WHOLE)
        export_samples(chosen, tmp_path / "taken", form)
        return tmp_path / "taken"

    return export


@pytest.fixture
def run_again(tmp_path: Path, monkeypatch):
    """Return what imports files as an experiment, runs it, and gives its store."""

    def run(*arguments: object) -> ArtifactStore:
        monkeypatch.setenv("GSR_EXPERIMENT", "")  # a command sets it: put back after the test
        monkeypatch.setenv("GSR_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("GSR_ARTIFACTS", str(tmp_path / "again"))
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
        file = tmp_path / "imported" / "experiment.yaml"
        gsr("import", *map(str, arguments), "--to", str(file.parent), "-k", "2")
        written = yaml.safe_load(file.read_text())
        written["evaluation"]["grader"] = "exact"
        file.write_text(yaml.safe_dump(written))
        gsr("-e", str(file), "run")
        return ArtifactStore(root=str(tmp_path / "again" / "imported"))

    return run


def gsr(*arguments: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output


def verdicts(store: ArtifactStore, benchmark: str) -> list[tuple]:
    """Return of every candidate its problem, its number, its answer, the verdict and the class of equal answers."""
    rows = store.read(ArtifactKey("base/graded_candidates", f"{benchmark}|{MODEL}"))
    return sorted(
        (row["problem_id"].partition("/")[2], row["sample_index"], row["answer"], row["verdict"], row["answer_class"])
        for row in rows
    )


def scores(store: ArtifactStore, benchmark: str) -> list[float]:
    """Return pass@k and maj@k, for every k."""
    summary = store.existing(ArtifactKey("base/gap_reports", f"{benchmark}|{MODEL}")).summary
    return [*summary["pool_pass_at_k"], *summary["pool_maj_at_k"]]


def test_pools_come_back_from_lm_evals_form_with_the_same_verdicts_and_scores(taken, run_again, finished_school):
    (samples,) = (taken("lm-eval") / MODEL).glob("samples_sums_*.jsonl")
    again = run_again(samples, "--from", "lm-eval", "--model", MODEL, "--field", "problem_id=doc.id")
    assert verdicts(again, "recorded") == verdicts(finished_school.store, "sums")
    assert scores(again, "recorded") == pytest.approx(scores(finished_school.store, "sums"))


def test_pools_come_back_from_inspects_logs_with_the_same_verdicts_and_scores(taken, run_again, finished_school):
    pytest.importorskip("inspect_ai", reason="pip install inspect-ai to write and read its logs")
    (log,) = taken("inspect").glob("*.eval")
    again = run_again(log, "--from", "inspect", "--model-column", "model", "--group-by", "task")
    assert verdicts(again, "sums") == verdicts(finished_school.store, "sums")
    assert scores(again, "sums") == pytest.approx(scores(finished_school.store, "sums"))


def test_refinements_come_back_beside_their_pools_with_the_same_gap(taken, run_again, finished_school):
    files = sorted(taken("datasets").rglob("*.parquet"))
    assert len(files) == 2
    again = run_again(*files, "--model-column", "model", "--group-by", "benchmark")
    assert scores(again, "sums") == pytest.approx(scores(finished_school.store, "sums"))
    before, now = (
        store.existing(ArtifactKey("base/gap_reports", f"sums|{MODEL}")).summary
        for store in (finished_school.store, again)
    )
    for name in ("groups", "maj_at_k", "self_ref_at_k", "refinement_gap"):
        assert now[name] == pytest.approx(before[name]), name


def test_lm_evals_own_fields_are_as_it_writes_them(taken, finished_school):
    folder = taken("lm-eval") / MODEL
    (samples,) = folder.glob("samples_sums_*.jsonl")
    (results,) = folder.glob("results_*.json")
    assert samples.stem.rpartition("_")[2] == results.stem.rpartition("_")[2], "one time for one evaluation"
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    assert [line["doc_id"] for line in lines] == list(range(24))
    own = finished_school.store.read(ArtifactKey("base/candidate_pools", f"sums|{MODEL}"))
    texts = {(row["problem_id"].removeprefix("sums/"), row["sample_index"]): row["text"] for row in own}
    for line in lines:
        assert list(line)[:8] == [
            "doc_id",
            "doc",
            "target",
            "arguments",
            "resps",
            "filtered_resps",
            "filter",
            "metrics",
        ]
        assert line["resps"] == [[texts[line["doc"]["id"], number] for number in range(4)]]
        (answers,) = line["filtered_resps"]
        assert line["pass@1"] == sum(answer == line["target"] for answer in answers) / 4
        asked = json.loads(line["arguments"]["gen_args_0"]["arg_0"])
        assert line["doc"]["problem"] in asked[-1]["content"]
    told = json.loads(results.read_text())
    report = finished_school.store.existing(ArtifactKey("base/gap_reports", f"sums|{MODEL}"))
    assert told["results"]["sums"]["pass@1,gsr"] == pytest.approx(report.summary["pass_at_1"])


def test_a_prompt_that_the_file_words_otherwise_now_is_not_told(finished_school, tmp_path):
    template = tmp_path / "direct.j2"
    template.write_text("Solve {{ problem }}")
    experiment = Experiment.model_validate({**finished_school.written, "prompts": {"direct": str(template)}})
    chosen = choose(experiment, finished_school.store, Asked(models=[MODEL]), with_more_than_pools=False)
    export_samples(chosen, tmp_path / "taken", "lm-eval")
    (samples,) = (tmp_path / "taken" / MODEL).glob("samples_*.jsonl")
    prompts = {json.loads(line)["arguments"]["gen_args_0"]["arg_0"] for line in samples.read_text().splitlines()}
    assert prompts == {""}
    assert "Solve {problem}" not in (tmp_path / "taken" / "README.md").read_text()
