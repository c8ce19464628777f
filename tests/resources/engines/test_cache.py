"""What all rows begin with stands once, and is read as if each row had it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gsr_dagster.experiment.settings import RolloutSettings
from resources.engines.cache import reads_shared
from resources.engines.cpu import GROUPED_SDPA, grouped_attention
from resources.engines.transformers import TransformersEngine
from tests.resources.engines.asked import requests


@pytest.fixture(scope="module")
def engine(small_model) -> TransformersEngine:
    return TransformersEngine(small_model, None, batch_size=64)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 5), st.integers(1, 3), st.integers(1, 4), st.integers(1, 40), st.integers(1, 12), st.integers(0, 11)
)
def test_attention_over_what_is_shared_and_each_rows_own_is_that_over_both(rows, kv, group, shared, own, hidden):
    import torch

    torch.manual_seed(rows + shared)
    query = torch.randn(rows, kv * group, 1, 16)
    common = [torch.randn(1, kv, shared, 16) for _ in "kv"]
    key, value = (torch.randn(rows, kv, own, 16) for _ in "kv")
    mask = torch.ones(rows, 1, 1, shared + own, dtype=torch.bool)
    mask[0, ..., shared : shared + min(hidden, own - 1)] = False
    whole = [torch.cat([c.expand(rows, -1, -1, -1), o], dim=2) for c, o in zip(common, (key, value), strict=True)]
    expected, _ = grouped_attention(torch.nn.Module(), query, *whole, mask)
    key.shared = common  # pyright: ignore
    found, _ = grouped_attention(torch.nn.Module(), query, key, value, mask)
    assert torch.allclose(found, expected, atol=1e-5)


def test_a_text_is_the_same_whether_its_beginning_stands_once_or_in_each_row(engine):
    assert engine.shares == (engine.model.device.type == "cpu")
    greedy = RolloutSettings(temperature=0, max_new_tokens=16)
    texts = []
    for engine.shares in (True, False):
        samples = [sample for finished in engine.sample(requests(9, 2), greedy) for sample in finished]
        texts.append({(sample.request_id, sample.index): sample.text for sample in samples})
    engine.shares = True
    assert texts[0] == texts[1]


def test_a_model_with_an_attention_of_its_own_is_found_out(engine):
    assert engine.model.config._attn_implementation == GROUPED_SDPA
    assert reads_shared(engine.model)
    engine.model.set_attn_implementation("eager")
    try:
        assert not reads_shared(engine.model)
    finally:
        engine.model.set_attn_implementation(GROUPED_SDPA)


def test_more_than_one_position_at_a_time_is_refused():
    import torch

    key = torch.randn(2, 1, 3, 16)
    key.shared = [torch.randn(1, 1, 4, 16) for _ in "kv"]  # pyright: ignore
    with pytest.raises(ValueError, match="decoding steps alone"):
        grouped_attention(torch.nn.Module(), torch.randn(2, 1, 2, 16), key, key, None)
