"""Rows that have ended leave the batch, and the others go on as they would have."""

import pytest

from gsr_dagster.experiment.settings import RolloutSettings
from resources.engines import thinning
from resources.engines.base import Sample
from resources.engines.transformers import TransformersEngine
from tests.resources.engines.asked import requests


@pytest.fixture(scope="module")
def engine(small_model) -> TransformersEngine:
    return TransformersEngine(small_model, None, batch_size=64, thinking_end="answer")


def drawn(engine, **settings) -> list[Sample]:
    rollout = RolloutSettings(**{"temperature": 1.0, "max_new_tokens": 24, **settings})
    return sorted((s for f in engine.sample(requests(8, 4), rollout) for s in f), key=lambda s: (s.request_id, s.index))


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 1.8, "logprobs": 3},
        {"temperature": 1.8, "repetition_penalty": 1.2},
        {"temperature": 1.5, "stop": ["{1", "oxed{7"], "logprobs": 3},
        {"temperature": 1.8, "thinking_tokens": 4, "max_new_tokens": 20},
        {"max_new_tokens": 3},
    ],
    ids=str,
)
def test_every_row_is_what_it_is_where_all_go_on_to_the_end(engine, settings, monkeypatch):
    sizes: list[int] = []
    generate = engine.model.generate

    def counted(*arguments, **named):
        sizes.append(len(named["input_ids"]))
        return generate(*arguments, **named)

    monkeypatch.setattr(engine.model, "generate", counted)
    thinner = drawn(engine, **settings)
    calls, sizes[:] = [*sizes], []
    monkeypatch.setattr(thinning, "LEFT", 0)
    whole = drawn(engine, **settings)
    assert sizes == [32]
    assert calls == sorted(calls, reverse=True)
    assert len(calls) > 1 or settings["max_new_tokens"] == 3
    # Another batch shape rounds differently, so a draw at the edge of a token may fall on the other side.
    assert sum(one.text == other.text for one, other in zip(thinner, whole, strict=True)) >= 30
    alike = [(a, b) for a, b in zip(thinner, whole, strict=True) if a.text == b.text]
    assert all((a.finish_reason, a.generated_tokens) == (b.finish_reason, b.generated_tokens) for a, b in alike)
    assert all((a.confidences is None) == ("logprobs" not in settings) for a, _ in alike)
    for a, b in alike:
        assert list(a.confidences or ()) == pytest.approx(b.confidences or (), abs=0.05)
        assert len(a.confidences or ()) in (0, a.generated_tokens)
