"""Log-probabilities that came with recorded samples, from the import to the vote that weighs by them: no model is needed."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from gsr_dagster.commands.main import main
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.experiment.loading import load_experiment
from gsr_dagster.operations.home import artifact_store

# By problem, of each sample: whether it is right, and the mean log-probability of the likeliest in each place.
SURE = {
    "a": [(True, [-4.0, -5.0]), (False, [-1.0, -1.5]), (False, [-1.25])],
    "b": [(True, [-0.5]), (False, [-3.0, -2.0, -4.0]), (False, [-2.0])],
    "c": [(True, [-6.0, -1.0]), (True, [-0.25]), (False, [-0.5])],
}


def places(means: list[float]) -> list[list[float]]:
    return [[0.5 * mean, 1.5 * mean] for mean in means]


def rows() -> list[dict]:
    return [
        {
            "problem_id": problem,
            "problem": f"What is {problem}?",
            "answer": "7",
            "response": f"\\boxed{{{7 if right else 8}}}",
            "logprobs": places(means),
        }
        for problem, samples in SURE.items()
        for right, means in samples
    ]


def run(*arguments: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == exit_code, result.output
    return " ".join(result.output.split())


def imported(folder: Path, name: str, samples: list[dict]) -> str:
    (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, samples)))
    to = ["--to", str(folder / name), "--model", "a-1b", "--parameters", "1e9", "-k", "2"]
    return run("import", str(folder / f"{name}.jsonl"), *to)


def experiment(folder: Path, **direct: object) -> str:
    """Add a vote by confidence to an imported experiment, and return its file."""
    path = folder / "experiment.yaml"
    document = yaml.safe_load(path.read_text())
    document["evaluation"]["direct"] |= direct
    document["aggregations"] = {"sure": {"kind": "confidence_vote", "measure": "mean", "keep": 1.0}}
    path.write_text(yaml.safe_dump(document))
    return str(path)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GSR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
    return tmp_path


def test_recorded_log_probabilities_weigh_the_vote_as_the_formula_says(home):
    told = imported(home, "whole", rows())
    assert "9 of 9 candidates have them, of the 2 likeliest tokens in each place." in told
    assert "words are counted instead" not in told
    path = experiment(home / "whole")
    loaded = load_experiment(Path(path))
    assert loaded.evaluation.direct.logprobs == 2
    run("-e", path, "run")
    store = artifact_store(loaded)
    pool = store.read(ArtifactKey("base/candidate_pools", "recorded|a-1b"))
    expected = [means for samples in SURE.values() for _, means in samples]
    assert [row["confidences"] for row in pool] == [[-1000 * mean for mean in means] for means in expected]
    assert [row["generated_tokens"] for row in pool] == [len(means) for means in expected]
    summary = store.existing(ArtifactKey("base/aggregations", "recorded|a-1b")).summary
    (entry,) = [entry for entry in summary["aggregations"] if entry["aggregation"] == "sure"]
    won = []
    for samples in SURE.values():
        weights = {True: 0.0, False: 0.0}
        for right, means in samples:
            weights[right] += -np.mean(means)
        won.append(weights[True] > weights[False])
    assert won == [True, False, True], "and the plain votes are wrong, wrong, right"
    assert entry["score"]["estimate"] == pytest.approx(np.mean(won))
    assert entry["difference"]["estimate"] == pytest.approx(np.mean(won) - 1 / 3)


def test_what_has_no_confidences_is_counted_and_no_vote_is_made_of_the_others(home):
    samples = rows()
    del samples[4]["logprobs"]
    samples[7]["logprobs"] = [[-1.0, -2.0, -3.0]]
    samples.append({**samples[0], "response": "", "logprobs": None})
    told = imported(home, "part", samples)
    assert "8 of 10 candidates have them, of the 2 likeliest tokens" in told
    assert "2 have none: confidence_vote and confidence_stop need them of all." in told
    assert "Left out: 1 log-probabilities with another number of likeliest tokens than 2." in told
    path = home / "part" / "experiment.yaml"
    assert load_experiment(path).evaluation.direct.logprobs is None
    refused = run("-e", experiment(home / "part", logprobs=2), "run", exit_code=1)
    assert "2 of 10 candidates, the first is a-1b/recorded/b/1, came without the log-probabilities" in refused


def test_another_number_of_likeliest_tokens_than_was_recorded_is_refused_and_so_is_none(home):
    imported(home, "whole", rows())
    refused = run("-e", experiment(home / "whole", logprobs=20), "run", exit_code=1)
    assert "are of the 2 likeliest tokens in each place, and the experiment file says logprobs: 20" in refused
    imported(home, "without", [{**row, "logprobs": None} for row in rows()])
    refused = run("-e", experiment(home / "without", logprobs=2), "run", exit_code=1)
    assert "a-1b was recorded without the log-probabilities of its tokens, which sure read" in refused


def test_refinements_keep_none_and_their_candidates_have_their_own(home):
    samples = rows()
    shown = [row["response"] for row in samples[:2]]
    told = imported(home, "refined", [*samples, {**samples[0], "candidates": shown}])
    assert "Left out: 1 log-probabilities of refinements: they are kept of candidates alone." in told
    assert "9 of 9 candidates have them" in told
    run("-e", experiment(home / "refined"), "run")
