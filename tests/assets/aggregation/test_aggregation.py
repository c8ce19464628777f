"""Every kind of aggregation through the real graph, with the small model and a small reward model."""

import io
import json
from collections import Counter

import numpy as np
import pytest
from rich.console import Console

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.method.scoring.aggregation_summary import AggregationSummary
from resources.store.artifacts import ArtifactStore
from tests.running import run_experiment

SUMS = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}
ROLLOUT = {"temperature": 1.0, "max_new_tokens": 16}
PARTITION = "sums|llama-tiny"
NAMED = (
    *("bon", "recorded", "genselect", "usc", "other", "twice", "passed", "rsa", "adaptive", "unsure", "shuffled"),
    *("greedy", "blind", "prompted", "sure", "stopped"),
)
PLAN = {"plan": {"kind": "planned_refinement", "groups_per_stratum": 3}}


def experiment(model, reward_model, folder, **more) -> Experiment:
    candidates = [f"llama-tiny/sums/{problem:05d}/{index}" for problem in range(8) for index in range(4)]
    scores = folder / "scores.jsonl"
    lines = [json.dumps({"candidate_id": name, "score": number}) for number, name in enumerate(candidates)]
    scores.write_text("\n".join(lines))
    engine = {"kind": "transformers", "batch_size": 64}
    return Experiment.model_validate(
        {
            "name": "small",
            "k": 2,
            "families": {"llama": {"tiny": {"source": f"path:{model}", "parameters": 5e5, "engine": engine}}},
            "benchmarks": {
                "sums": {"source": "reasoning-gym:chain_sum", "options": SUMS, "seed": 1, "problems": 8, "samples": 4}
            },
            "evaluation": {"direct": {**ROLLOUT, "logprobs": 3}, "refinement": ROLLOUT, "candidate_tokens": 64},
            "aggregations": {
                "bon": {"kind": "reward_model", "source": f"path:{reward_model}"},
                "recorded": {"kind": "recorded_scores", "path": str(scores)},
                "genselect": {"kind": "generative_selection"},
                "usc": {"kind": "universal_self_consistency"},
                "other": {"kind": "synthesis", "model": "llama-tiny"},
                "twice": {"kind": "repeated_refinement"},
                "passed": {"kind": "repeated_refinement", "widths": [4, 3, 2]},
                "rsa": {"kind": "recursive_self_aggregation", "rounds": 2},
                "adaptive": {"kind": "adaptive_consistency", "confidence": 0.85},
                "unsure": {"kind": "selective_refinement"},
                "shuffled": {"kind": "shuffled_refinement"},
                "greedy": {"kind": "greedy_direct"},
                "blind": {"kind": "blind_refinement"},
                "prompted": {"kind": "prompted_refinement", "prompt": "rsa"},
                "sure": {"kind": "confidence_vote", "window": 4},
                "stopped": {"kind": "confidence_stop", "window": 4, "warm_up": 2},
                **more,
            },
        }
    )


class Made:
    """An experiment that ran, and what runs it again with more aggregations."""

    def __init__(self, model, reward_model, folder):
        self.arguments = (model, reward_model, folder)
        self.store = ArtifactStore(root=str(folder / "artifacts" / "small"))
        self.run()

    def run(self, **more) -> int:
        return run_experiment(experiment(*self.arguments, **more), self.store, Console(file=io.StringIO()))

    def rows(self, asset: str) -> list[dict]:
        return self.store.read(ArtifactKey(f"base/{asset}", PARTITION))


@pytest.fixture(scope="module")
def made(small_model, reward_model_folder, tmp_path_factory) -> Made:
    folder = tmp_path_factory.mktemp("aggregations")
    (folder / "dagster").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GSR_HOME", str(folder))
        patch.setenv("DAGSTER_HOME", str(folder / "dagster"))
        yield Made(small_model, reward_model_folder, folder)


def test_every_aggregation_answers_every_group_once(made):
    summary = made.store.existing(ArtifactKey("base/aggregations", PARTITION)).summary
    names = [entry["aggregation"] for entry in summary["aggregations"]]
    assert names == ["majority", "self_refinement", *NAMED]
    rows = made.rows("aggregations")
    answers = {name: sum(row["aggregation"] == name for row in rows) for name in names}
    assert answers == dict.fromkeys(names, 8 * 2) | {"passed": 8, "rsa": 8 * 4, "adaptive": 8, "sure": 8, "stopped": 8}
    gap = made.store.existing(ArtifactKey("base/gap_reports", PARTITION)).summary
    scores = {entry["aggregation"]: entry["score"]["estimate"] for entry in summary["aggregations"]}
    assert scores["majority"] == pytest.approx(gap["maj_at_k"])
    assert scores["self_refinement"] == pytest.approx(gap["self_ref_at_k"])


def test_every_token_of_a_candidate_has_a_confidence_and_the_vote_weighs_by_it(made):
    candidates = made.rows("candidate_pools")
    assert all(len(row["confidences"]) == row["generated_tokens"] for row in candidates)
    sure = {row["candidate_id"]: row for row in made.rows("aggregation/sure")}
    for row in candidates:
        assert sure[row["candidate_id"]]["mean"] == pytest.approx(
            sum(row["confidences"]) / row["generated_tokens"] / 1000
        )
        assert sure[row["candidate_id"]]["tail"] == pytest.approx(sum(row["confidences"][-4:]) / 4000)
    assert all("confidences" not in row for row in made.rows("self_refinements"))
    summary = made.store.existing(ArtifactKey("base/aggregations", PARTITION)).summary
    settings = [point["setting"] for point in summary["points"]["sure"]]
    assert settings[:4] == ["mean 100%", "mean 90%", "mean 10%", "tail 100%"]
    stopped = [row for row in made.rows("aggregations") if row["aggregation"] == "stopped"]
    every = {row["problem_id"]: 0 for row in candidates}
    for row in candidates:
        every[row["problem_id"]] += row["generated_tokens"]
    assert all(row["tokens"] <= every[row["problem_id"]] for row in stopped)


def test_the_recorded_scores_choose_the_last_sample_of_each_group(made):
    for row in made.rows("aggregations"):
        if row["aggregation"] == "recorded":
            group = int(row["group_id"][-1])
            assert row["chosen"] == f"llama-tiny/{row['problem_id']}/{2 * group + 1}"


def test_the_second_round_is_shown_the_refinements_of_the_first(made):
    rows = {row["sample_id"]: row for row in made.rows("aggregation/twice")}
    last = [row for row in rows.values() if row["prompt_id"].endswith("/r2")]
    assert len(last) == 16
    for row in last:
        assert [rows[shown]["prompt_id"] for shown in row["candidate_ids"]] == [row["prompt_id"][:-1] + "1"] * 2


def test_each_round_reads_all_answers_of_the_one_before_in_its_own_width(made):
    rows = {row["sample_id"]: row for row in made.rows("aggregation/passed")}
    shown = {
        number: [row["candidate_ids"] for row in rows.values() if f"/r{number}/" in row["sample_id"]]
        for number in (1, 2, 3)
    }
    assert [len(shown[number]) for number in (1, 2, 3)] == [8 * 3, 8 * 2, 8]
    assert {len(names) for names in shown[1]} == {4}
    for number, width in ((2, 3), (3, 2)):
        for names in shown[number]:
            assert len(names) == width
            assert {rows[name]["prompt_id"].rsplit("/", 1)[1] for name in names} == {f"r{number - 1}"}
    summary = made.store.existing(ArtifactKey("base/aggregations", PARTITION)).summary
    entry = {entry["aggregation"]: entry for entry in summary["aggregations"]}["passed"]
    voted = [row["correct"] for row in made.rows("aggregations") if row["aggregation"] == "passed/vote"]
    assert entry["difference"]["estimate"] == pytest.approx(entry["score"]["estimate"] - np.mean(voted))


def test_each_answer_of_a_population_reads_two_of_the_round_before(made):
    drawn = {row["sample_id"]: row for row in made.rows("aggregation/rsa")}
    assert len(drawn) == 8 * 4 * 2
    chosen = set()
    for row in drawn.values():
        group, number, place = row["prompt_id"].rsplit("/", 2)
        before = (
            {f"llama-tiny/{row['problem_id']}/{index}" for index in range(4)}
            if number == "r1"
            else {f"{group}/r1/{index}/0" for index in range(4)}
        )
        assert len(row["candidate_ids"]) == 2
        assert len(set(row["candidate_ids"]) & before) == 2
        chosen.add((number, place, *(name[-1] for name in row["candidate_ids"])))
    assert len(chosen) > 20  # of each problem, round and place anew


def test_a_population_is_summed_up_round_by_round(made):
    rounds = made.store.summary(ArtifactKey("base/aggregations", PARTITION), AggregationSummary).populations["rsa"]
    assert [population.round for population in rounds] == [0, 1, 2]
    grades = made.rows("graded_candidates")
    tokens = Counter[str]()
    for row in [*grades, *made.rows("aggregation/rsa")]:
        tokens[row["problem_id"]] += row["generated_tokens"]
    assert rounds[-1].tokens == np.mean(list(tokens.values()))
    by_problem = {row["problem_id"]: [] for row in grades}
    for row in grades:
        by_problem[row["problem_id"]].append(row)
    first = rounds[0]
    assert first.problems == 8
    assert first.pass_at_1.estimate == np.mean([row["correct"] for row in grades])
    assert first.pass_at_n.estimate == np.mean([any(r["correct"] for r in rows) for rows in by_problem.values()])
    answers = [{r["answer_class"] for r in rows} - {None} for rows in by_problem.values()]
    assert first.distinct_answers == np.mean([len(classes) for classes in answers])
    entry = {
        e["aggregation"]: e
        for e in made.store.existing(ArtifactKey("base/aggregations", PARTITION)).summary["aggregations"]
    }["rsa"]
    assert entry["score"]["estimate"] == pytest.approx(rounds[-1].pass_at_1.estimate)
    gain = rounds[-1].pass_at_1.estimate - first.maj_at_n.estimate
    assert entry["difference"]["estimate"] == pytest.approx(gain)


def test_an_adaptive_vote_draws_nothing_and_is_decided_with_all_candidates_at_the_latest(made):
    summary = made.store.summary(ArtifactKey("base/aggregations", PARTITION), AggregationSummary)
    points = {point.setting: point for point in summary.points["adaptive"]}
    all_of_them = {
        row["problem_id"]: row["correct"] for row in made.rows("aggregations") if row["aggregation"] == "adaptive/vote"
    }
    assert len(all_of_them) == 8
    assert points["decided"].score.estimate == pytest.approx(np.mean(list(all_of_them.values())))
    assert points["beta 0.85"].samples <= points["beta 0.99"].samples == 4
    entry = {entry.aggregation: entry for entry in summary.aggregations}["adaptive"]
    assert entry.score == points["beta 0.85"].score
    assert entry.tokens <= points["beta 0.99"].tokens


def test_where_the_vote_is_unsure_the_refinement_stands_and_elsewhere_the_vote(made):
    rows = made.rows("aggregations")
    correct = {
        name: {r["group_id"]: r["correct"] for r in rows if r["aggregation"] == name}
        for name in ("majority", "self_refinement", "unsure")
    }
    for row in made.rows("aggregation/unsure"):
        taken = "self_refinement" if row["agreeing"] < row["refined_below"] else "majority"
        assert correct["unsure"][row["group_id"]] == correct[taken][row["group_id"]]
    summary = made.store.summary(ArtifactKey("base/aggregations", PARTITION), AggregationSummary)
    points = {point.setting: point for point in summary.points["unsure"]}
    scores = {entry.aggregation: entry for entry in summary.aggregations}
    assert list(points) == ["never", "under 1 of 2", "under 2 of 2", "always"]
    assert points["never"].score == scores["majority"].score
    assert (points["always"].score, points["always"].tokens) == (
        scores["self_refinement"].score,
        scores["self_refinement"].tokens,
    )


def test_another_order_shows_the_same_candidates_and_the_same_order_shows_them_as_they_were(made):
    refined = {row["prompt_id"]: row["candidate_ids"] for row in made.rows("self_refinements")}
    again = {row["prompt_id"]: row["candidate_ids"] for row in made.rows("aggregation/shuffled")}
    for group, shown in refined.items():
        assert again[group] == shown[::-1]
        assert again[f"{group}/same_order"] == shown


def test_one_greedy_answer_a_problem_is_held_against_each_of_its_groups(made):
    drawn = {row["problem_id"]: row for row in made.rows("aggregation/greedy")}
    assert len(drawn) == 8
    rows = made.rows("aggregations")
    refined = {row["group_id"]: row["correct"] for row in rows if row["aggregation"] == "self_refinement"}
    greedy = [row for row in rows if row["aggregation"] == "greedy"]
    assert [row["tokens"] for row in greedy] == [drawn[row["problem_id"]]["generated_tokens"] for row in greedy]
    summary = made.store.summary(ArtifactKey("base/aggregations", PARTITION), AggregationSummary)
    gains = [refined[row["group_id"]] - row["correct"] for row in greedy]
    assert summary.refinement_minus_controls["greedy"].estimate == pytest.approx(sum(gains) / 16)


def test_a_blind_refinement_is_shown_no_candidate_and_held_against_one_that_was(made):
    drawn = {row["prompt_id"]: row for row in made.rows("aggregation/blind")}
    assert len(drawn) == 16
    assert all(row["candidate_ids"] == [] for row in drawn.values())
    refined = {row["prompt_id"]: row for row in made.rows("self_refinements")}
    assert {row["prompt_tokens"] < refined[group]["prompt_tokens"] for group, row in drawn.items()} == {True}
    rows = [row for row in made.rows("aggregations") if row["aggregation"] == "blind"]
    assert [row["tokens"] for row in rows] == [drawn[row["group_id"]]["generated_tokens"] for row in rows]
    summary = made.store.summary(ArtifactKey("base/aggregations", PARTITION), AggregationSummary)
    minus = summary.refinement_minus_controls
    by_groups = {", some right": lambda n: n > 0, ", none right": lambda n: n == 0, "": lambda n: True}
    there = {f"blind{name}" for name, holds in by_groups.items() if any(holds(row["n_correct"]) for row in rows)}
    assert set(minus) == {"greedy", *there}
    refined = {
        row["group_id"]: row["correct"] for row in made.rows("aggregations") if row["aggregation"] == "self_refinement"
    }
    for name, holds in by_groups.items():
        gains = [refined[row["group_id"]] - row["correct"] for row in rows if holds(row["n_correct"])]
        if gains:
            assert minus[f"blind{name}"].estimate == pytest.approx(sum(gains) / len(gains))


def test_one_more_aggregation_leaves_the_others_as_they_are(made):
    before = {name: made.store.data_version(ArtifactKey(f"base/aggregation/{name}", PARTITION)) for name in NAMED}
    assert made.run() == 0
    assert made.run(**PLAN) == 3  # itself, the table, the report
    after = {name: made.store.data_version(ArtifactKey(f"base/aggregation/{name}", PARTITION)) for name in NAMED}
    assert after == before
    graded = {row["candidate_id"]: row["correct"] for row in made.rows("graded_candidates")}
    planned = made.rows("aggregation/plan")
    assert {sum(graded[shown] for shown in row["candidate_ids"]) for row in planned} == {0, 1, 2}
    for row in planned:
        assert f"/c{sum(graded[shown] for shown in row['candidate_ids'])}-" in row["prompt_id"]


def test_samples_of_a_lost_run_are_kept(made):
    key = ArtifactKey("base/aggregation/twice", PARTITION)
    before = made.store.existing(key)
    made.store.objects.remove(f"{key.path}/manifest.json")
    made.run(**PLAN)
    assert made.store.existing(key) == before
