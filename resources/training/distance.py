"""How far a student is from itself when its adapter is merged into weights of its base's precision.

Engines that cannot serve an adapter merge it (resources/models/merging.py). Measured on a few of
the student's own training rows: the mean KL divergence per target token, from the exact student,
which is the base in float32 with its adapter, to the merged one; and to the base, for comparison.
"""

from collections.abc import Sequence
from typing import Any

from resources.models.merging import merged_meanwhile
from resources.training.targets import Target

ROWS, TOKENS, LONGEST = 4, 128, 2048
BYTES_OF_A_FLOAT = 4
ROOM = 1.2  # what a forward pass takes beside the weights


def distances(model: Any, targets: Sequence[Target]) -> dict[str, float]:
    """Return ``merged_kl`` and ``base_kl`` of a trained peft model on a few rows, nothing where it has no room in float32.

    The model's weights are float32 after it.
    """
    import torch

    if not _fits(model):
        return {}
    device = next(model.parameters()).device
    rows = []
    for target in targets:
        ids = torch.tensor([[*target.prompt, *target.answer][:LONGEST]], device=device)
        places = range(len(target.prompt) - 1, ids.shape[1] - 1)[:TOKENS]
        if places:
            rows.append((ids, list(places)))
    if not rows:
        return {}

    def log_probabilities() -> list[Any]:
        found = [model(input_ids=ids, use_cache=False).logits[0, places] for ids, places in rows]
        return [logits.float().log_softmax(-1).cpu() for logits in found]

    was_training = model.training
    model.eval()
    with torch.no_grad():
        with merged_meanwhile(model):
            merged = log_probabilities()
        with model.disable_adapter():
            base = log_probabilities()
        model.float()
        exact = log_probabilities()
    model.train(was_training)

    def kl(others: list[Any]) -> float:
        each = [(p.exp() * (p - q)).sum(-1) for p, q in zip(exact, others, strict=True)]
        return float(f"{torch.cat(each).mean().clamp(min=0).item():.3g}")

    return {"merged_kl": kl(merged), "base_kl": kl(base)}


def _fits(model: Any) -> bool:
    import psutil
    import torch

    weights = list(model.parameters())
    held = sum(weight.nbytes for weight in weights)
    needed = ROOM * BYTES_OF_A_FLOAT * sum(weight.numel() for weight in weights)
    on_gpu = weights[0].device.type == "cuda"
    if on_gpu:
        torch.cuda.empty_cache()
    free = torch.cuda.mem_get_info()[0] if on_gpu else psutil.virtual_memory().available
    return needed < free + held
