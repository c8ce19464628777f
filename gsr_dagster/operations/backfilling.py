"""`gsr backfill`: the partitions of a model family, launched through the Dagster page.

Every partition is a run of its lane's job. A failed one leaves the others alone; one
that is complete runs without work, or not at all with ``--only-missing``.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from gsr_dagster.experiment.errors import UserError
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import EvaluationKey, LaneName
from gsr_dagster.operations.jobs import EXPERIMENT_TAG, FAMILY_TAG, name_in_dagster
from gsr_dagster.operations.lanes import Lane, lanes
from resources.progress import track
from resources.store.artifacts import ArtifactStore

SECONDS_TO_ANSWER = 60
SECONDS_BETWEEN_LOOKS = 2
ENDED = ("SUCCESS", "FAILURE", "CANCELED")

JOBS = """query {
  repositoriesOrError {
    ... on RepositoryConnection { nodes { name location { name } jobs { name tags { key value } } } }
    ... on PythonError { message }
  }
}"""
PARTITIONS = """query ($job: PipelineSelector!) {
  pipelineOrError(params: $job) { ... on Pipeline { partitionKeysOrError { partitionKeys } } }
}"""
LAUNCH = """mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
    ... on UnauthorizedError { message }
    ... on PartitionKeysNotFoundError { message }
  }
}"""
RUNS = """query ($id: String!) {
  runsOrError(filter: {tags: [{key: "dagster/backfill", value: $id}]}) {
    ... on Runs { results { status tags { key value } } }
    ... on PythonError { message }
  }
}"""


class BackfillError(UserError, RuntimeError):
    """A backfill that cannot be launched; the message says why, and what would be right."""


@dataclass(frozen=True)
class Page:
    """A Dagster page by its address, as in http://localhost:3000."""

    address: str

    def ask(self, query: str, **variables: Any) -> Any:
        """Return the one field that a GraphQL query asks for. Raises BackfillError where the page has no answer."""
        try:
            reply = requests.post(
                f"{self.address}/graphql", json={"query": query, "variables": variables}, timeout=SECONDS_TO_ANSWER
            ).json()
        except requests.ConnectionError:
            raise BackfillError(
                f"no page answers at {self.address}: start it with gsr page, or name another with --page"
            ) from None
        except (requests.RequestException, ValueError) as error:
            raise BackfillError(f"{self.address} is no Dagster page: {error}") from None
        if "data" not in reply or reply.get("errors"):
            raise BackfillError(f"{self.address} refused: {reply.get('errors', reply)}")
        (answer,) = reply["data"].values()
        if "message" in answer:
            raise BackfillError(f"{self.address}: {answer['message'].strip()}")
        return answer

    def repository(self, experiment: Experiment, lane: str) -> dict[str, str]:
        """Return the selector of the repository that serves the job of an experiment's lane."""
        job = name_in_dagster(experiment, lane)
        served = {}
        for node in self.ask(JOBS)["nodes"]:
            selector = {"repositoryName": node["name"], "repositoryLocationName": node["location"]["name"]}
            for one in node["jobs"]:
                for tag in one["tags"]:
                    if tag["key"] == EXPERIMENT_TAG and (tag["value"] != experiment.name or one["name"] == job):
                        served[tag["value"]] = selector
        if experiment.name not in served:
            instead = f"the experiment {', '.join(served)}" if served else f"no job {job}"
            raise BackfillError(
                f"the page at {self.address} serves {instead}, not {experiment.name}: start it with "
                f"gsr -e {experiment.name} page, or look at its Deployment tab where it failed to load"
            )
        return served[experiment.name]

    def launch(self, experiment: Experiment, lane: Lane, family: str, partitions: Sequence[str]) -> str:
        """Launch a backfill of a lane's partitions and return its id."""
        job = name_in_dagster(experiment, lane.name)
        selector = self.repository(experiment, lane.name)
        known = self.ask(PARTITIONS, job={**selector, "pipelineName": job})["partitionKeysOrError"]["partitionKeys"]
        if unknown := [partition for partition in partitions if partition not in known]:
            raise BackfillError(
                f"the page at {self.address} does not know {', '.join(unknown)}: the experiment file has changed, "
                "reload the code location on its Deployment tab"
            )
        params = {
            "selector": {"partitionSetName": f"{job}_partition_set", "repositorySelector": selector},
            "partitionNames": list(partitions),
            "title": f"{job} of {family}",
            "tags": [{"key": EXPERIMENT_TAG, "value": experiment.name}, {"key": FAMILY_TAG, "value": family}],
        }
        answer = self.ask(LAUNCH, params=params)
        if "backfillId" not in answer:
            raise BackfillError(f"{self.address} did not launch it: {answer['__typename']}")
        return answer["backfillId"]

    def link(self, backfill: str) -> str:
        """Return where a backfill is shown."""
        return f"{self.address}/runs/b/{backfill}"

    def outcomes(self, backfill: str) -> dict[str, str]:
        """Return the status of each partition's latest run, of those that ended and are not to be retried."""
        latest: dict[str, str] = {}
        for run in self.ask(RUNS, id=backfill)["results"]:  # the newest comes first
            tags = {tag["key"]: tag["value"] for tag in run["tags"]}
            again = run["status"] == "FAILURE" and tags.get("dagster/will_retry") == "true"
            latest.setdefault(tags["dagster/partition"], "to be retried" if again else run["status"])
        return {partition: status for partition, status in latest.items() if status in ENDED}


def family_partitions(experiment: Experiment, lane: LaneName, family: str, benchmarks: Sequence[str]) -> list[str]:
    """Return a family's partitions of a lane, on the named benchmarks or on all. Raises BackfillError where there are none."""
    if family not in experiment.families:
        raise BackfillError(f"no family {family!r}; there are: {', '.join(experiment.families)}")
    if unknown := [name for name in benchmarks if name not in experiment.benchmarks]:
        raise BackfillError(f"no benchmark {', '.join(unknown)}; there are: {', '.join(experiment.benchmarks)}")
    every = [partition for one in evaluation_lanes(experiment, lane) for partition in one.partitions]
    evaluations = [EvaluationKey.parse(lane, partition) for partition in every]
    found = [
        evaluation.partition
        for evaluation in evaluations
        if experiment.family(evaluation.subject) == family and (not benchmarks or evaluation.benchmark in benchmarks)
    ]
    if not found:
        raise BackfillError(f"the family {family} has no student; there are: {', '.join(experiment.students)}")
    return found


def evaluation_lanes(experiment: Experiment, name: LaneName) -> list[Lane]:
    """Return the lane "base", or those of students, one a round. Raises BackfillError where the experiment has no student."""
    found = [lane for lane in lanes(experiment) if lane.name.startswith(f"{name}_evaluation")]
    if not found:
        raise BackfillError(f"{experiment.name} has no student: --lane base evaluates its models")
    return found


def to_launch(store: ArtifactStore, lane: Lane, partitions: Sequence[str], only_missing: bool) -> tuple[list[str], int]:
    """Return the partitions to launch, and how many are left out since they are current.

    Raises BackfillError where something that they are made from is missing.
    """
    wanted = [p for p in partitions if lane.stale(store, p)] if only_missing else list(partitions)
    upstream = {key for partition in wanted for key in lane.upstream(partition)}
    missing = sorted(key for key in upstream if store.manifest(key) is None)
    if missing:
        names = ", ".join(map(str, missing))
        raise BackfillError(f"{names} must be there first: materialize it on the page, or all with gsr run")
    return wanted, len(partitions) - len(wanted)


def follow(page: Page, backfill: str, label: str, partitions: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each partition with its status as its run ends, with a bar, until all have ended."""
    seen: dict[str, str] = {}
    with track(label, len(partitions), "partitions") as progress:
        while len(seen) < len(partitions):
            new = {p: status for p, status in page.outcomes(backfill).items() if p not in seen}
            seen |= new
            failed = Counter(seen.values())["FAILURE"]
            progress.advance(len(new), note=f"{failed} failed" if failed else "")
            yield from new.items()
            if len(seen) < len(partitions):
                time.sleep(SECONDS_BETWEEN_LOOKS)
