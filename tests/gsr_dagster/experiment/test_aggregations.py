"""Aggregations that an experiment file cannot name, and what is said of them."""

import pytest
import yaml

from gsr_dagster.experiment.loading import load_experiment
from tests.gsr_dagster.experiment.test_loading import refusal
from tests.places import FORMER_DEMO


@pytest.fixture
def document() -> dict:
    return yaml.safe_load(FORMER_DEMO.read_text())


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (
            "other",
            {"kind": "synthesis", "model": "gpt"},
            "aggregations.other.model: no model 'gpt'; there are smollm2-135m",
        ),
        ("bon", {"kind": "reward_model", "source": "gguf:x"}, "is not hf:ORG/NAME@REVISION or path:FOLDER"),
        ("bon", {"kind": "recorded_scores", "path": "scores.csv"}, "scores.csv is not a .jsonl or .parquet file"),
        ("again", {"kind": "repeated_refinement", "rounds": 1}, "rounds: a whole number from 2 is wanted"),
        (
            "best",
            {"kind": "best"},
            "there is no kind 'best'; there are adaptive_consistency, blind_refinement, confidence_stop",
        ),
        ("majority", {"kind": "generative_selection"}, "'majority' cannot name an aggregation"),
        ("my-own", {"kind": "generative_selection"}, "'my-own' cannot name an aggregation"),
    ],
)
def test_an_aggregation_that_cannot_be_made_is_refused(document, tmp_path, name, settings, message):
    document["aggregations"] = {name: settings}
    assert message in refusal(document, tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {},
            "aggregations.sure: it reads how sure a model was of its tokens: write evaluation: {direct: {logprobs: 20",
        ),
        ({"refinement": {"logprobs": 5}}, "evaluation.refinement.logprobs: they are kept of the evaluation's direct"),
        ({"direct": {"logprobs": 21}}, "evaluation.direct.logprobs: a whole number from 1 to 20 is wanted"),
        ({"direct": {"logprobs": 5, "thinking_tokens": 9}}, "logprobs: thinking that is ended at thinking_tokens"),
    ],
)
def test_log_probabilities_that_nobody_gives_or_reads_are_refused(document, tmp_path, change, told):
    document["aggregations"] = {"sure": {"kind": "confidence_vote"}}
    document["evaluation"] = change
    assert told in refusal(document, tmp_path)


def test_ray_gives_no_log_probabilities(document, tmp_path):
    (scales,) = document["families"].values()
    scales["135m"]["engine"] = {"kind": "ray"}
    document["evaluation"] = {"direct": {"logprobs": 5}}
    assert "evaluation.direct.logprobs: smollm2-135m is sampled on Ray, which hands on none" in refusal(
        document, tmp_path
    )


def test_where_no_student_is_no_base_is_crossed_with_one(document, tmp_path):
    document["aggregations"] = {"crossed": {"kind": "crossed_refinement"}}
    del document["students"]
    assert "aggregations.crossed: only students have a base" in refusal(document, tmp_path)


def test_a_single_candidate_cannot_be_shown_in_another_order(document, tmp_path):
    document["k"] = 1
    document["aggregations"] = {"shuffled": {"kind": "shuffled_refinement"}}
    assert "aggregations.shuffled: a group of k=1 candidate has no other order" in refusal(document, tmp_path)


@pytest.mark.parametrize(
    ("settings", "least"),
    [
        ({"kind": "recursive_self_aggregation"}, 5),
        ({"kind": "repeated_refinement", "widths": [8, 2]}, 8),
    ],
)
def test_an_aggregation_of_more_candidates_than_there_are_is_refused(document, tmp_path, settings, least):
    document["k"] = 4
    name, benchmark = next(iter(document["benchmarks"].items()))
    benchmark["samples"] = 4
    document["aggregations"] = {"wide": settings}
    told = f"aggregations.wide: it needs {least} candidates a problem, and benchmarks.{name}.samples is 4"
    assert told in refusal(document, tmp_path)


def test_widths_say_how_many_rounds_there_are(document, tmp_path):
    document["aggregations"] = {"wide": {"kind": "repeated_refinement", "widths": [4, 2], "rounds": 3}}
    assert "widths says how many rounds there are: leave rounds out" in refusal(document, tmp_path)


def test_recorded_samples_can_be_scored_but_nothing_else_can_be_drawn_of_them(document, tmp_path):
    (scales,) = document["families"].values()
    scales["135m"]["engine"] = {"kind": "recorded", "path": "samples"}
    document["aggregations"] = {
        "pick": {"kind": "generative_selection"},
        "best": {"kind": "recorded_scores", "path": "scores.jsonl"},
    }
    del document["students"]
    refused = refusal(document, tmp_path)
    assert "aggregations.pick: smollm2-135m is recorded" in refused
    assert "aggregations.best" not in refused


def test_recorded_scores_stand_relative_to_the_experiment_file(document, tmp_path):
    document["aggregations"] = {"best": {"kind": "recorded_scores", "path": "scores.jsonl"}}
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(document))
    assert load_experiment(path).aggregations["best"].path == tmp_path / "scores.jsonl"
