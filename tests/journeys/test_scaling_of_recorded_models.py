"""The scaling report of a family of five, over recorded samples of real models in a store: no model is run.

A member of the family answers as Qwen2.5-Math-1.5B did on its share of the samples, and
as Llama-3.2-1B-Instruct did on the rest. Its refinements are further recorded samples of
the same problem: real text with real verdicts, though nobody showed it the candidates.
"""

import gzip
import json
import random
import re
from pathlib import Path

import dagster as dg
import pytest

from gsr_dagster.definitions import build_definitions
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey, page_key
from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.operations.jobs import name_in_dagster
from resources.store.artifacts import ArtifactStore
from tests.places import DATA
from tests.running import recipe_of

RECORDED = DATA / "recorded"
SHARES = {"0.5b": 0.0, "1.5b": 0.25, "3b": 0.5, "7b": 0.75, "14b": 1.0}
PROBLEMS, SAMPLES = 40, 4
ROLLOUT = {"temperature": 0.7, "max_new_tokens": 1024}
IMAGE = re.compile(r"!\[plot\]\(data:image/png;base64,[A-Za-z0-9+/=]{20000,}\)")


def recorded(name: str) -> dict[str, list[dict]]:
    """The samples of a recorded pool by problem."""
    path = RECORDED / f"{name}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    problems: dict[str, list[dict]] = {}
    with gzip.open(path, "rt") as lines:
        for line in lines:
            row = json.loads(line)
            problems.setdefault(row["problem_id"], []).append(row)
    return problems


def family_of_five() -> Experiment:
    sizes = {
        scale: {
            "source": f"hf:recorded/{scale}@main",
            "parameters": float(scale[:-1]) * 1e9,
            "engine": {"kind": "vllm"},
        }
        for scale in SHARES
    }
    problem_set = {"source": "reasoning-gym:chain_sum", "problems": PROBLEMS, "samples": SAMPLES}
    return Experiment.model_validate(
        {
            "name": "family",
            "k": 2,
            "ks": [4],
            "families": {"recorded": sizes},
            "benchmarks": {"math500": problem_set},
            "evaluation": {"direct": ROLLOUT, "refinement": ROLLOUT, "candidate_tokens": 4096},
        }
    )


def sample_row(text: str, **columns) -> dict:
    tokens = {"prompt_tokens": 100, "generated_tokens": len(text.split())}
    return {**columns, "seed": 0, "prompt_sha256": "recorded", "text": text, "finish_reason": "stop", **tokens}


class RecordedFamily:
    """Writes what an engine would have drawn, and lets Dagster materialize all the rest."""

    def __init__(self, folder: Path):
        self.qwen = recorded("qwen2.5-math-1.5b.math500")
        self.llama = recorded("llama-3.2-1b-instruct.math500")
        self.experiment = family_of_five()
        self.store = ArtifactStore(root=str(folder / "family"))
        self.definitions = build_definitions(self.experiment)
        self.originals = {f"math500/{i:05d}": name for i, name in enumerate(sorted(self.llama)[:PROBLEMS])}

    def text(self, model: str, problem_id: str, index: int) -> str:
        share = SHARES[model.removeprefix("recorded-")]
        is_qwen = random.Random(f"{problem_id}/{index}").random() < share
        return (self.qwen if is_qwen else self.llama)[self.originals[problem_id]][index]["response"]

    def put(self, key: ArtifactKey, rows: list[dict]) -> None:
        recipe = recipe_of(self.experiment, self.store, key)
        self.store.publish(recipe, [self.store.put_shard(recipe, rows)], {})

    def put_problems(self) -> None:
        golds = {problem_id: self.llama[name][0] for problem_id, name in self.originals.items()}
        rows = [
            {"problem_id": problem_id, "problem": row["problem"], "answer": row["answer"], "domain": "math"}
            for problem_id, row in golds.items()
        ]
        self.put(ArtifactKey("benchmark_problems", "math500"), rows)

    def put_pool(self, model: str) -> None:
        rows = [
            sample_row(
                self.text(model, problem_id, index),
                candidate_id=f"{model}/{problem_id}/{index}",
                prompt_id=f"{model}/{problem_id}",
                problem_id=problem_id,
                sample_index=index,
            )
            for problem_id in self.originals
            for index in range(SAMPLES)
        ]
        self.put(ArtifactKey("base/candidate_pools", f"math500|{model}"), rows)

    def put_refinements(self, model: str, k: int) -> None:
        """A group's refinement is the next recorded sample after those of the pool: 4 and 5 of k = 2, 6 of k = 4."""
        main = k == self.experiment.k
        graded = self.store.read(ArtifactKey("base/graded_candidates", f"math500|{model}"))
        pool = CandidatePool.of(model if main else f"{model}/k{k}", graded, k, self.experiment.seed)
        rows = [
            sample_row(
                self.text(model, group.problem_id, SAMPLES + (0 if main else 2) + int(group.id[-1])),
                refinement_id=f"{group.id}/0",
                prompt_id=group.id,
                problem_id=group.problem_id,
                candidate_ids=[row["candidate_id"] for row in members],
                sample_index=0,
            )
            for group, members in pool.groups
        ]
        name = "self_refinements" if main else "curve_refinements"
        self.put(ArtifactKey(f"base/{name}", f"math500|{model}"), rows)

    def materialize(self, job: str, *assets: str, partition: str | None = None) -> dg.ExecuteInProcessResult:
        return self.definitions.resolve_job_def(name_in_dagster(self.experiment, job)).execute_in_process(
            partition_key=partition,
            asset_selection=[page_key(self.experiment.name, asset) for asset in assets],
        )


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    folder = tmp_path_factory.mktemp("family")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GSR_ARTIFACTS", str(folder))
        family = RecordedFamily(folder)
        family.put_problems()
        for model in family.experiment.models:
            partition = f"math500|{model}"
            family.put_pool(model)
            family.materialize("base_evaluation", "base/graded_candidates", partition=partition)
            family.put_refinements(model, k=2)
            family.put_refinements(model, k=4)
            family.materialize("base_evaluation", "base/gap_reports", "base/gap_curves", partition=partition)
        family.reported = family.materialize("reports", "refinement_gap_scaling", "student_comparison")
        yield family


def materialized(family, asset: str) -> dict:
    (event,) = [
        event
        for event in family.reported.get_asset_materialization_events()
        if event.asset_key == page_key(family.experiment.name, asset)
    ]
    return event.materialization.metadata


def verdicts(family, asset: str, model: str) -> list[dict]:
    return family.store.read(ArtifactKey(f"base/{asset}", f"math500|{model}"))


def ranks(values: list[float]) -> list[float]:
    """Places in order, equal values sharing the mean of theirs."""
    return [sum(v < value for v in values) + sum(v == value for v in values) / 2 for value in values]


def test_every_model_is_in_the_report_with_the_gap_that_its_graded_samples_give(family):
    rows = {row["subject"]: row for row in family.store.read(ArtifactKey("refinement_gap_scaling"))}
    assert list(rows) == list(family.experiment.models)
    for model, row in rows.items():
        graded = verdicts(family, "graded_candidates", model)
        groups = verdicts(family, "gap_reports", model)
        assert (row["family"], row["problems"], row["groups"]) == ("recorded", PROBLEMS, 2 * PROBLEMS)
        assert row["parameters"] == family.experiment.models[model].parameters
        assert row["pass_at_1"] == pytest.approx(sum(r["correct"] for r in graded) / len(graded))
        assert row["refinement_gap"] == pytest.approx(sum(g["refined"] - g["vote"] for g in groups) / len(groups))
    # More of the better model's samples make a better model.
    assert rows["recorded-14b"]["pass_at_1"] > rows["recorded-3b"]["pass_at_1"] > rows["recorded-0.5b"]["pass_at_1"]


def test_the_correlation_is_that_of_the_ranks_of_its_five_points(family):
    import numpy as np

    rows = family.store.read(ArtifactKey("refinement_gap_scaling"))
    found = family.store.existing(ArtifactKey("refinement_gap_scaling")).summary["correlations"]["math500"]
    gaps = ranks([row["refinement_gap"] for row in rows])
    for against in ("parameters", "pass_at_1"):
        by_hand = np.corrcoef(ranks([row[against] for row in rows]), gaps)[0, 1]
        assert found[against]["rho"] == pytest.approx(by_hand)
        assert found[against]["points"] == 5
        assert -1 <= found[against]["low"] <= by_hand <= found[against]["high"] <= 1


def test_a_further_group_size_has_groups_and_refinements_of_its_own(family):
    for model in family.experiment.models:
        (row,) = verdicts(family, "gap_curves", model)
        candidates = {r["candidate_id"]: r["correct"] for r in verdicts(family, "graded_candidates", model)}
        refinements = verdicts(family, "curve_refinements", model)
        assert (row["k"], row["groups"], row["problems"]) == (4, PROBLEMS, PROBLEMS)
        assert sorted(c for r in refinements for c in r["candidate_ids"]) == sorted(candidates)
        # A pool of four is one group of four: the vote in it is the vote over the whole pool.
        pool = family.store.existing(ArtifactKey("base/gap_reports", f"math500|{model}")).summary["pool_maj_at_k"]
        assert row["maj_at_k"]["estimate"] == pytest.approx(pool[-1])
        gap = row["self_ref_at_k"]["estimate"] - row["maj_at_k"]["estimate"]
        assert row["refinement_gap"]["estimate"] == pytest.approx(gap)


def test_the_same_figures_are_on_the_page_and_in_the_one_html_report(family):
    figures = ["gaps", "gap_against_parameters", "gap_against_pass_at_1"]
    figures += ["scores_against_k_math500", "by_correct_math500"]
    metadata = materialized(family, "refinement_gap_scaling")
    page = Path(materialized(family, "student_comparison")["report_file"].value).read_text()
    for name in figures:
        image = metadata[name].value
        assert IMAGE.fullmatch(image), name
        assert image.removeprefix("![plot](").removesuffix(")") in page, name


def test_the_report_names_every_model_with_its_numbers_and_fetches_nothing(family):
    page = Path(materialized(family, "student_comparison")["report_file"].value).read_text()
    for row in family.store.read(ArtifactKey("refinement_gap_scaling")):
        assert row["subject"] in page
        assert f"{100 * row['refinement_gap']:+.1f}".replace("-", "−") in page
    assert "Spearman" in page
    assert f"<td>{PROBLEMS}</td>" in page
    assert not re.search(r'<(script|link|iframe)|src="(?!data:)', page)


def test_what_is_current_is_not_drawn_again(family):
    again = family.materialize("reports", "refinement_gap_scaling")
    (event,) = again.get_asset_materialization_events()
    assert event.materialization.metadata["work"].value == "none, it was current"
