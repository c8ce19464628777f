"""An experiment whose only model is a hosted one: no source, no size, no hub."""

from types import MappingProxyType

import pytest
import yaml

from gsr_dagster.commands.plan.steps import plan
from gsr_dagster.definitions import build_definitions
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.loading import load_experiment
from gsr_dagster.operations.lanes import all_steps
from resources.engines.base import Sample
from resources.store.artifacts import ArtifactStore
from tests.school import School

ROLLOUT = {"temperature": 1.0, "max_new_tokens": 64}


class Right:
    """A server that answers 2, and refuses now and then."""

    context, counts_by, notes = 4096, "the server", MappingProxyType({})

    def sample(self, requests, settings):
        for request in requests:
            yield [
                Sample(request.id, i, s, *(("", "refusal") if i == 3 else ("So \\boxed{2}.", "stop")), 9, 5)
                for i, s in zip(request.indices, request.seeds, strict=True)
            ]

    def prompt_tokens(self, messages):
        return 9

    def tokenize(self, text):
        return list(text.encode())

    def detokenize(self, tokens):
        return bytes(tokens).decode()

    def close(self):
        pass


@pytest.fixture
def hosted(tmp_path):
    """Return what makes the experiment, with the name that its model has at the host."""
    (tmp_path / "problems.jsonl").write_text(
        "\n".join(f'{{"id": "{n}", "problem": "{n} + {2 - n}?", "answer": "2"}}' for n in range(3))
    )

    def experiment(model: str = "gpt-4o", **families: dict) -> Experiment:
        engine = {"kind": "openai", "base_url": "https://api.example.com/v1", "model": model}
        document = {
            "name": "hosted",
            "k": 2,
            "benchmarks": {"own": {"source": "file:problems.jsonl", "samples": 4}},
            "families": {"gpt": {"4o": {"engine": engine}}, **families},
            "evaluation": {"direct": ROLLOUT, "refinement": ROLLOUT, "candidate_tokens": 100},
        }
        path = tmp_path / "experiment.yaml"
        path.write_text(yaml.safe_dump(document))
        return load_experiment(path)

    return experiment


def test_it_is_loaded_and_planned_and_has_fingerprints_of_its_served_name(hosted, tmp_path):
    experiment, store = hosted(), ArtifactStore(root=str(tmp_path / "artifacts"))
    assert experiment.pool is None
    assert build_definitions(experiment).resolve_asset_graph()
    assert sum(step.samples for step in plan(experiment)) == 3 * (4 + 2)
    pools = [
        all_steps(one)["base/candidate_pools"].recipe(store, "own|gpt-4o").fingerprint
        for one in (experiment, hosted("o3"))
    ]
    assert pools[0] != pools[1]


def test_it_goes_through_the_whole_graph_and_its_reports(hosted, tmp_path, monkeypatch):
    monkeypatch.setattr("resources.engines.loading._engine", lambda model, checkpoint: Right())
    experiment = hosted()
    school = School(experiment.model_dump(mode="json"), tmp_path / "artifacts")
    school.run_all()
    pool = school.store.existing(next(k for k in school.store.verified.published() if k.name == "candidate_pools"))
    assert pool.summary["refusals"] == pool.summary["empty_answers"] == 3
    assert pool.summary["counted_by"] == "the server"
    (row,) = school.store.read(
        next(k for k in school.store.verified.published() if k.asset == "refinement_gap_scaling")
    )
    assert (row["subject"], row["parameters"]) == ("gpt-4o", None)
    assert row["self_ref_at_k"] == 1
