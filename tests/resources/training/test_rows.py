import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.training.rows import part_weights

losses = st.lists(st.floats(0, 10), min_size=1, max_size=6)


@given(refinement=losses, direct=losses, refine_weight=st.floats(0, 1))
def test_the_weighted_mean_over_all_tokens_is_the_loss_of_the_paper(refinement, direct, refine_weight):
    weights = part_weights({"refinement": len(refinement), "direct": len(direct)}, refine_weight)
    tokens = len(refinement) + len(direct)
    weighted = (sum(refinement) * weights["refinement"] + sum(direct) * weights["direct"]) / tokens
    l_refine, l_direct = sum(refinement) / len(refinement), sum(direct) / len(direct)
    assert weighted == pytest.approx(refine_weight * l_refine + (1 - refine_weight) * l_direct)


@given(losses=losses, refine_weight=st.floats(0.01, 0.99))
def test_rows_of_one_kind_train_on_their_own_loss_whatever_the_weight(losses, refine_weight):
    weights = part_weights({"direct": len(losses), "refinement": 0}, refine_weight)
    weighted = sum(losses) * weights["direct"] / len(losses)
    assert weighted == pytest.approx(sum(losses) / len(losses))
