"""What answers cost in money, counted again from the stored samples of a real graph; and what nobody counted."""

import dataclasses
import io
from collections.abc import Iterable

import pytest
from pydantic import TypeAdapter
from rich.console import Console

from assets.aggregation.table import aggregated_rows
from assets.evaluation.evaluation_run import EvaluationRun
from assets.reports.collecting import reported_aggregations, reported_curves, reported_gap
from gsr_dagster.experiment.aggregations import ALWAYS_AGGREGATED
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey, EvaluationKey
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.aggregation_summary import AggregationSummary
from gsr_dagster.method.scoring.tokens import Tokens
from resources.grading.grader import Grader
from resources.reporting.frontier import NO_PRICE, NO_PROMPTS, Method
from resources.reporting.report_page import Report, render_report
from resources.store.artifacts import ArtifactStore
from tests.running import run_experiment

SUMS = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}
ROLLOUT = {"temperature": 1.0, "max_new_tokens": 16}
PROBLEMS, SAMPLES, K, ROUNDS = 4, 4, 2, 2
SMALL, LARGE = {"prompt": 0.25, "generated": 2.0}, {"prompt": 3.0, "generated": 15.0}


def experiment(model, scores, small: dict | None = SMALL, large: dict | None = LARGE) -> Experiment:
    def of(price: dict | None, **more) -> dict:
        engine = {"kind": "transformers", "batch_size": 64, **({"price": price} if price else {})}
        return {"source": f"path:{model}", "parameters": 5e5, "engine": engine, **more}

    return Experiment.model_validate(
        {
            "name": "priced",
            "k": K,
            "ks": [4],
            "families": {"llama": {"tiny": of(small), "large": of(large, evaluate=False)}},
            "benchmarks": {
                "sums": {
                    "source": "reasoning-gym:chain_sum",
                    "options": SUMS,
                    "seed": 1,
                    "problems": PROBLEMS,
                    "samples": SAMPLES,
                }
            },
            "evaluation": {"direct": ROLLOUT, "refinement": ROLLOUT, "candidate_tokens": 64},
            "aggregations": {
                "rsa": {"kind": "recursive_self_aggregation", "rounds": ROUNDS},
                "other": {"kind": "synthesis", "model": "llama-large"},
                "greedy": {"kind": "greedy_direct"},
                "pick": {"kind": "generative_selection"},
                "adaptive": {"kind": "adaptive_consistency"},
                "unsure": {"kind": "selective_refinement"},
                "scores": {"kind": "recorded_scores", "path": str(scores)},
            },
        }
    )


class Priced:
    """An experiment with prices that ran, and its stored rows."""

    def __init__(self, model, folder):
        self.model, self.scores = model, folder / "scores.jsonl"
        names = [f"llama-tiny/sums/{problem:05d}/{index}" for problem in range(PROBLEMS) for index in range(SAMPLES)]
        self.scores.write_text("\n".join(f'{{"candidate_id": "{name}", "score": 1}}' for name in names))
        self.store = ArtifactStore(root=str(folder / "artifacts" / "priced"))

    def run(self, **prices) -> int:
        return run_experiment(self.experiment(**prices), self.store, Console(file=io.StringIO()))

    def experiment(self, **prices) -> Experiment:
        return experiment(self.model, self.scores, **prices)

    def rows(self, asset: str) -> list[Row]:
        return self.store.read(ArtifactKey(f"base/{asset}", "sums|llama-tiny"))

    def report(self, **prices) -> Report:
        priced = self.experiment(**prices)
        gaps = [reported_gap(priced, self.store, one) for one in priced.evaluations("base")]
        curves = reported_curves(priced, self.store, "base")
        return Report(priced, gaps, curves, aggregations=reported_aggregations(priced, self.store))

    def page(self) -> str:
        return (self.store.local_files(ArtifactKey("student_comparison")) / "report.html").read_text()


@pytest.fixture(scope="module")
def priced(small_model, tmp_path_factory) -> Priced:
    folder = tmp_path_factory.mktemp("priced")
    (folder / "dagster").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GSR_HOME", str(folder))
        patch.setenv("DAGSTER_HOME", str(folder / "dagster"))
        found = Priced(small_model, folder)
        found.run()
        yield found


def cost(samples: Iterable[Row], price: dict = SMALL) -> float:
    return sum(s["prompt_tokens"] * price["prompt"] + s["generated_tokens"] * price["generated"] for s in samples) / 1e6


def methods(report: Report) -> dict[tuple[str, str], Method]:
    (found,) = report.frontiers
    return {(method.name, method.setting): method for method in found.methods}


def test_the_money_of_every_way_to_answer_is_that_of_the_samples_it_needs(priced):
    candidates = {row["candidate_id"]: row for row in priced.rows("graded_candidates")}
    pool = cost(candidates.values())
    found = {name: method.money for name, method in methods(priced.report()).items()}
    for k in (1, 2, 4):
        assert found["vote", f"k = {k}"] == pytest.approx(k * pool / (PROBLEMS * SAMPLES))
    groups = PROBLEMS * SAMPLES // K
    assert found["refine", "k = 2"] == pytest.approx((pool + cost(priced.rows("self_refinements"))) / groups)
    assert found["refine", "k = 4"] == pytest.approx((pool + cost(priced.rows("curve_refinements"))) / PROBLEMS)
    assert found["other", ""] == pytest.approx((pool + cost(priced.rows("aggregation/other"), LARGE)) / groups)
    assert found["pick", ""] == pytest.approx((pool + cost(priced.rows("aggregation/pick"))) / groups)
    assert found["greedy", ""] == pytest.approx(cost(priced.rows("aggregation/greedy")) / PROBLEMS)
    drawn = priced.rows("aggregation/rsa")
    first = [row for row in drawn if "/r1/" in row["prompt_id"]]
    assert found["rsa", "round 1"] == pytest.approx((pool + cost(first)) / PROBLEMS)
    assert found["rsa", "round 2"] == pytest.approx((pool + cost(drawn)) / PROBLEMS)
    assert found["unsure", "never"] == pytest.approx(pool / groups)
    assert found["unsure", "always"] == pytest.approx(found["refine", "k = 2"])
    # All candidates of a problem have one prompt; what is drawn until a rule stops is rounded to tokens.
    one_prompt = sum(row["prompt_tokens"] for row in candidates.values()) / len(candidates)
    for point in reported_aggregations(priced.experiment(), priced.store)[0].points["adaptive"]:
        read = point.samples * one_prompt * SMALL["prompt"] + point.tokens * SMALL["generated"]
        assert found["adaptive", point.setting] * 1e6 == pytest.approx(read, abs=1.0)
    assert found["scores", ""] == NO_PRICE


def test_a_price_redraws_the_report_alone_which_names_the_best_by_money(priced):
    assert priced.run() == 0
    assert "best by" in priced.page()
    assert "Correct against money on sums" in priced.page()
    assert "scores (no price)" in priced.page()
    assert priced.run(small={**SMALL, "generated": 4.0}) == 1
    assert priced.run(small=None, large=None) == 1
    assert "money" not in priced.page()
    assert priced.run(small=None) == 1
    assert "other (no price)" in priced.page()
    assert priced.run() == 1


def test_a_report_of_what_was_stored_before_prompts_were_counted_says_so(priced):
    report = priced.report()
    (gap,), (table,) = report.gaps, report.aggregations
    (curve,) = report.curves
    uncounted = {"prompt_tokens": None, "refiner_tokens": None, "refiner_prompt_tokens": None}
    gap = dataclasses.replace(
        gap,
        prompt_tokens_per_refined_group=None,
        vote_points=[dataclasses.replace(point, prompt_tokens=None) for point in gap.vote_points],
    )
    table = dataclasses.replace(
        table,
        aggregations=[dataclasses.replace(entry, **uncounted) for entry in table.aggregations],
        points={
            name: [dataclasses.replace(point, **uncounted) for point in points] for name, points in table.points.items()
        },
    )
    curve = dataclasses.replace(curve, prompt_tokens_per_refined_group=None)
    old = Report(report.experiment, [gap], [curve], aggregations=[table])
    told = {name: method.money for (name, _), method in methods(old).items()}
    assert told == {**dict.fromkeys(told, NO_PROMPTS), "scores": NO_PRICE}
    page = render_report(old)
    assert "vote (prompts not counted), refine (prompts not counted)" in page
    assert "Correct against money" not in page


def test_an_older_gap_report_leaves_the_vote_its_prompts_and_the_refinement_none(priced):
    older = [{k: v for k, v in row.items() if "prompt_tokens" not in k} for row in priced.rows("gap_reports")]
    run = EvaluationRun(priced.experiment(), priced.store, EvaluationKey.parse("base", "sums|llama-tiny"))
    rows = aggregated_rows(run.experiment, run.scored_pool(), run.model, Grader(), run.problems(), older, {})
    counted = {name: {r["prompt_tokens"] for r in rows if r["aggregation"] == name} for name in ALWAYS_AGGREGATED}
    assert None not in counted["majority"]
    assert counted["self_refinement"] == {None}


def test_stored_summaries_without_the_newer_columns_are_read(priced):
    key = ArtifactKey("base/aggregations", "sums|llama-tiny")
    summary = priced.store.existing(key).summary
    newer = ("prompt_tokens", "refiner_tokens", "refiner_prompt_tokens")
    for entry in [*summary["aggregations"], *(point for points in summary["points"].values() for point in points)]:
        for name in newer:
            assert entry.pop(name) is not None
    read = TypeAdapter(AggregationSummary).validate_python(summary)
    assert {entry.prompt_tokens for entry in read.aggregations} == {None}


@pytest.mark.parametrize(
    ("sample", "prompt"),
    [
        ({"prompt_tokens": 7, "generated_tokens": 5, "finish_reason": "stop"}, 7),
        ({"prompt_tokens": 0, "generated_tokens": 5, "finish_reason": "stop"}, None),
        ({"prompt_tokens": None, "generated_tokens": 5, "finish_reason": "stop"}, None),
        ({"generated_tokens": 5}, None),
        ({"prompt_tokens": 9000, "generated_tokens": 0, "finish_reason": "unasked"}, 0),
        ({"prompt_tokens": 0, "generated_tokens": 0, "finish_reason": "content_filter"}, 0),
    ],
)
def test_a_prompt_costs_what_was_counted_nothing_where_it_was_not_sent_and_is_never_guessed(sample, prompt):
    assert Tokens.of([sample]) == Tokens(sample["generated_tokens"], prompt)
    known = {"prompt_tokens": 1, "generated_tokens": 1}
    assert Tokens.of([sample, known]).prompt == (None if prompt is None else prompt + 1)
