"""The Dagster page in a real browser: the graph, one materialization, its check and a plot."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from resources.problems.recorded_samples import Recorded, write_recorded
from tests.journeys.serving import CHROMIUM, PATIENCE, served

ROLLOUT = {"temperature": 1.0, "max_new_tokens": 64}


def recorded_model(folder: Path, right: float) -> dict:
    """Record a model that is ``right`` so often, and a little more often when it refines."""
    draw = random.Random(folder.name)

    def answer(problem: int, chance: float) -> str:
        return f"It is \\boxed{{{problem + 1 if draw.random() < chance else draw.randint(20, 22)}}}."

    refinements = [
        Recorded(f"p{p}", f"What is {p} + 1?", str(p + 1), answer(p, right + 0.1), tuple(answer(p, right) for _ in range(4)))
        for p in range(10)
    ]  # fmt: skip
    write_recorded(refinements, folder, k=4)
    return {"parameters": 1e9, "engine": {"kind": "recorded", "path": folder.name}}


def two_recorded_models(folder: Path, name: str) -> Path:
    """Write an experiment of two models that someone recorded before."""
    document = {
        "name": name,
        "k": 4,
        "families": {"said": {"1b": recorded_model(folder / "1b", 0.4), "7b": recorded_model(folder / "7b", 0.8)}},
        "benchmarks": {"plus-one": {"source": "file:1b/problems.jsonl", "samples": 4}},
        "evaluation": {"direct": ROLLOUT, "refinement": dict(ROLLOUT), "candidate_tokens": 64},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Path:
    return two_recorded_models(tmp_path_factory.mktemp("page"), "page")


@pytest.fixture(scope="module")
def environment(experiment) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    return {**inherited, "GSR_HOME": str(experiment.parent / "home")}


def gsr(experiment: Path, *arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("gsr")), "--experiment", str(experiment), *arguments]


@pytest.fixture(scope="module")
def page_address(experiment, environment) -> Iterator[str]:
    """`gsr page` on a free port: webserver and daemon."""
    with served(lambda port: gsr(experiment, "page", "--port", port), environment) as address:
        yield address


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium")
def test_the_page_shows_the_graph_launches_a_run_and_shows_its_check_and_a_plot(page_address, experiment, environment):
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(PATIENCE)

        page.goto(f"{page_address}/asset-groups")
        for group in ("problems", "base_evaluation", "reports"):
            expect(page.get_by_text(group, exact=True).first).to_be_visible()

        page.goto(f"{page_address}/assets/page/benchmark_problems")
        page.get_by_role("button", name="Materialize…").first.click()
        page.get_by_role("button", name="All", exact=True).click()
        with page.expect_response(lambda response: "LaunchPipelineExecution" in (response.request.post_data or "")):
            page.get_by_role("button", name="Launch 1 run").click()
        page.goto(f"{page_address}/assets/page/benchmark_problems?view=checks")
        expect(page.get_by_text("problems_sound").first).to_be_visible()
        expect(page.get_by_text("Passed").first).to_be_visible()

        ran = subprocess.run(gsr(experiment, "run"), env=environment, capture_output=True, text=True, timeout=900)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "benchmarks plus-one" not in ran.stdout, "the page materialized it"
        page.goto(f"{page_address}/assets/page/refinement_gap_scaling")
        page.get_by_text("[Show Markdown]").first.click()
        plot = page.locator('img[src^="data:image/png"]').first
        expect(plot).to_be_visible()
        assert plot.evaluate("image => image.naturalWidth") > 300
        browser.close()
