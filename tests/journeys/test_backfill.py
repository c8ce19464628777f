"""A family's backfill with a real page and daemon on loopback: one model fails alone, and a relaunch does what is missing."""

from itertools import pairwise

import pytest

from gsr_dagster.experiment.loading import load_experiment
from gsr_dagster.operations.backfilling import BackfillError, evaluation_lanes, to_launch
from gsr_dagster.operations.home import artifact_store

BY_PARTITION = """query {
  runsOrError(filter: {tags: [{key: "gsr/family", value: "qwen2.5"}]}) {
    ... on Runs { results { jobName status startTime endTime tags { key value } } }
  }
}"""


def test_one_model_fails_alone_and_a_relaunch_does_only_what_is_missing(served):
    served.family.record("14b", samples=4, problems=2)  # of the other problems nothing is recorded
    served.wait_until_it_answers()
    first = served.backfill("--wait")
    assert first.returncode == 1, first.stdout + first.stderr
    assert "2 of 4 partitions failed" in first.stderr
    ended = dict(line.split() for line in first.stdout.splitlines() if "|" in line)
    assert ended == {
        f"{benchmark}|qwen2.5-{model}": "success" if model == "7b" else "failure"
        for model in served.family.models
        for benchmark in served.family.benchmarks
    }
    served.family.record("14b", samples=4)
    second = served.backfill("--only-missing", "--wait")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "2 partitions of qwen2.5, 2 are current" in second.stdout
    ended = dict(line.split() for line in second.stdout.splitlines() if "|" in line)
    assert ended == {f"{benchmark}|qwen2.5-14b": "success" for benchmark in served.family.benchmarks}
    experiment = load_experiment(served.family.path)
    lane = evaluation_lanes(experiment, "base")[0]
    assert to_launch(artifact_store(experiment), lane, list(ended), only_missing=True) == ([], 2)
    runs = served.page.ask(BY_PARTITION)["results"]
    assert len(runs) == 6
    for run in runs:
        assert run["jobName"] == "recorded_base_evaluation"
        assert {"key": "gsr/experiment", "value": "recorded"} in run["tags"]
    # They share the pool of what loads a model: never two at a time.
    times = sorted((run["startTime"], run["endTime"]) for run in runs)
    assert all(end <= start for (_, end), (start, _) in pairwise(times))
    with pytest.raises(BackfillError, match="serves the experiment recorded, not another"):
        served.page.repository(experiment.model_copy(update={"name": "another"}), lane.name)
