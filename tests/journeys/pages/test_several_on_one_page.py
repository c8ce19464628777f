"""Two experiments on one page, one with students and one without; and the runs of the command line on it.

The page is asked what it asks itself, and looked at in a browser.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import yaml

from gsr_dagster.operations.backfilling import Page
from tests.journeys.serving import CHROMIUM, PATIENCE, served
from tests.recorded_family import RecordedFamily

NAMES = ("demo", "recorded")  # code locations, by the names of their experiments
LOCATIONS = """query { workspaceOrError { ... on Workspace { locationEntries {
  name locationOrLoadError { ... on RepositoryLocation { repositories {
    jobs { name } sensors { name } schedules { name } assetNodes { assetKey { path } isExecutable }
  } } }
} } } }"""
RUNS_OF_A_JOB = """query ($job: String!, $repository: String!) {
  runsOrError(filter: {pipelineName: $job, tags: [{key: ".dagster/repository", value: $repository}]}) {
    ... on Runs { results {
      runId status repositoryOrigin { repositoryLocationName } tags { key value }
      assetSelection { path }
    } }
  }
}"""
AGAIN = """mutation ($run: String!) {
  launchPipelineReexecution(reexecutionParams: {parentRunId: $run, strategy: ALL_STEPS, useParentRunTags: true}) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}"""
HISTORY = """query ($key: AssetKeyInput!) {
  assetOrError(assetKey: $key) { ... on Asset { assetMaterializations { partition runId } } }
}"""


class Shared:
    """A page of two experiments, and the command for the one without students."""

    def __init__(self, family: RecordedFamily):
        self.family = family
        own = {"GSR_HOME": str(family.folder / "home"), "COLUMNS": "160"}
        self.environment = {name: value for name, value in {**os.environ, **own}.items() if name != "DAGSTER_HOME"}
        self.page = Page("")

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-c", "from gsr_dagster.commands.main import main; main()", *arguments]

    def run(self) -> subprocess.Popen[str]:
        """Start `gsr run` in a terminal."""
        command = self.command("-e", str(self.family.path), "run")
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, text=True)

    def runs(self, lane: str) -> list[dict]:
        """Return what the Runs tab of a job lists, the newest first, with the tags as a dict."""
        found = self.page.ask(RUNS_OF_A_JOB, job=f"recorded_{lane}", repository="__repository__@recorded")["results"]
        return [{**run, "tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in found]


def until(found, what: str):
    """Return what is found, once there is something."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not (value := found()):
        assert time.monotonic() < deadline, f"no {what}"
        time.sleep(0.5)
    return value


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Iterator[Shared]:
    shared = Shared(RecordedFamily(tmp_path_factory.mktemp("several")))
    document = yaml.safe_load(shared.family.path.read_text())
    del document["families"]["llama"]  # its model was never recorded
    shared.family.path.write_text(yaml.safe_dump(document))
    pair = ("-e", "demo", "-e", str(shared.family.path))
    with served(lambda port: shared.command("page", *pair, "--port", port), shared.environment) as address:
        shared.page = Page(address)
        yield shared


@pytest.fixture(scope="module")
def ran(shared) -> list[dict]:
    """The runs that the page lists under the job, seen once while they went on in a terminal."""
    with shared.run() as terminal:
        under_way = until(
            lambda: [run for run in shared.runs("base_evaluation") if run["status"] == "STARTED"], "run under way"
        )
        assert terminal.poll() is None
        said = terminal.stdout.read()
    assert terminal.returncode == 0, said
    assert under_way[0]["tags"]["gsr/from"] == "command line"
    return shared.runs("base_evaluation")


def test_each_experiment_is_a_code_location_with_a_place_of_its_own(shared):
    entries = shared.page.ask(LOCATIONS)["locationEntries"]
    assert tuple(entry["name"] for entry in entries) == NAMES
    assets = {}
    for entry in entries:
        (repository,) = entry["locationOrLoadError"]["repositories"]
        assets[entry["name"]] = {tuple(node["assetKey"]["path"]) for node in repository["assetNodes"]}
        assert all(node["isExecutable"] for node in repository["assetNodes"]), "nothing is listed that no run makes"
        named = [one["name"] for kind in ("jobs", "sensors", "schedules") for one in repository[kind]]
        ours = {name for name in named if not name.startswith(("__", "alerts_to_"))}
        assert ours == {name for name in ours if name.startswith(f"{entry['name']}_")}
        # The alert sensors are of all code locations.
        assert any(name.startswith("alerts_to_") for name in named) == (entry["name"] == NAMES[0])
    assert {key[0] for keys in assets.values() for key in keys} == set(NAMES)
    assert ("demo", "base", "gap_reports") in assets["demo"]
    assert ("demo", "lora_checkpoints") in assets["demo"]
    assert {key[1:] for key in assets["recorded"]} == {
        ("benchmark_problems",),
        *(("base", name) for name in ("candidate_pools", "graded_candidates", "self_refinements", "gap_reports")),
        ("refinement_gap_scaling",),
        ("student_comparison",),
    }


def test_runs_of_the_command_line_are_listed_under_their_job_with_their_partition(shared, ran):
    partitions = {f"{benchmark}|qwen2.5-{model}" for benchmark in ("short", "long") for model in ("7b", "14b")}
    assert {run["tags"]["dagster/partition"] for run in ran} == partitions
    for run in ran:
        assert run["status"] == "SUCCESS"
        assert run["repositoryOrigin"] == {"repositoryLocationName": "recorded"}
        assert run["tags"]["gsr/experiment"] == "recorded"
        assert run["tags"]["gsr/from"] == "command line"
        assert run["tags"]["dagster/max_retries"] == "0", "a killed one is left to whoever sits at the terminal"
    history = shared.page.ask(HISTORY, key={"path": ["recorded", "base", "gap_reports"]})["assetMaterializations"]
    assert {(event["partition"], event["runId"]) for event in history} == {
        (run["tags"]["dagster/partition"], run["runId"]) for run in ran
    }


def test_one_of_them_is_executed_again_from_the_page_and_told_apart(shared, ran):
    first = ran[0]
    launched = shared.page.ask(AGAIN, run=first["runId"])["run"]["runId"]
    again = until(
        lambda: [
            run
            for run in shared.runs("base_evaluation")
            if run["runId"] == launched and run["status"] in ("SUCCESS", "FAILURE")
        ],
        "end of the run",
    )[0]
    assert again["status"] == "SUCCESS"
    assert again["tags"]["dagster/partition"] == first["tags"]["dagster/partition"]
    assert again["assetSelection"] == first["assetSelection"]
    assert again["tags"]["gsr/from"] == "page"
    assert again["tags"]["dagster/max_retries"] == "2"


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium")
def test_a_browser_shows_them_on_the_overview_under_the_job_and_in_the_catalog(shared, ran):
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(PATIENCE)

        page.goto(f"{shared.page.address}/overview/activity/timeline")
        expect(page.get_by_text("recorded_base_evaluation").first).to_be_visible()

        page.goto(f"{shared.page.address}/locations/__repository__@recorded/jobs/recorded_base_evaluation/runs")
        expect(page.get_by_text("partition: short|qwen2.5-7b").first).to_be_visible()
        expect(page.get_by_text("gsr/from: command line").first).to_be_visible()

        page.goto(f"{shared.page.address}/assets")
        expect(page.get_by_text("gap_reports").first).to_be_visible()
        browser.close()
