"""The transformers engine while somebody waits for what it writes, on a real small model."""

from dataclasses import replace

import pytest

from gsr_dagster.experiment.settings import RolloutSettings
from resources.engines.base import Sample, Watch
from resources.engines.transformers import TransformersEngine
from tests.resources.engines.asked import small_request as request


@pytest.fixture(scope="module")
def engine(small_model) -> TransformersEngine:
    return TransformersEngine(small_model, None, batch_size=64)


def samples(engine, requests) -> list[Sample]:
    rollout = RolloutSettings(temperature=1.0, max_new_tokens=16)
    return sorted((s for f in engine.sample(requests, rollout) for s in f), key=lambda s: (s.request_id, s.index))


def test_a_text_is_shown_while_it_is_written_and_is_the_same_text(engine, monkeypatch):
    monkeypatch.setattr("resources.engines.base.SECONDS_BETWEEN_TEXTS", 0.0)
    monkeypatch.setattr("resources.engines.base.TIMES_AS_LONG", 0)
    shown: list[str] = []
    alone = request(4, samples=1)
    watched = replace(alone, watch=Watch(gone=lambda: False, wrote=shown.append))
    (unseen,) = samples(engine, [alone])
    (seen,) = samples(engine, [watched])
    assert seen == unseen
    assert len(shown) == seen.generated_tokens
    assert all(seen.text.startswith(text) for text in shown)
    assert shown[-1] == seen.text
    assert len(set(shown)) > 3


def test_samples_that_nobody_waits_for_any_more_end_and_leave_the_others_alone(engine):
    told: list[str] = []
    waited = request(4)
    gone = replace(request(5), watch=Watch(gone=lambda: len(told) > 2))
    watched = replace(request(6, samples=1), watch=Watch(gone=lambda: bool(told.append("step")), wrote=None))
    drawn_together = samples(engine, [waited, gone, watched])
    assert {s.generated_tokens for s in drawn_together if s.request_id == "5"} <= {3, 4}
    kept = {s.index: s.text for s in drawn_together if s.request_id == "4"}
    assert sum(kept[s.index] == s.text for s in samples(engine, [waited])) >= 3
