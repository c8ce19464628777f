"""An adapter merged into its base: added in float32, and rounded once to the precision of the base's weights.

What the rounding changes is measured where a student is trained (resources/training/distance.py).
An adapter that stays live is nearer to the exact student, and a fifth slower in the transformers
engine on a CPU (docs/training.md has both).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def merge_adapter(model: Any) -> Any:
    """Return the base of a peft model with its LoRA adapter merged into the weights."""
    import torch

    with torch.no_grad():
        for layer in lora_layers(model):
            layer.get_base_layer().weight.data = merged_weight(layer)
    return model.unload()


@contextmanager
def merged_meanwhile(model: Any) -> Iterator[None]:
    """Let a peft model compute with merged weights within the block, and with its own and its adapter after it."""
    import torch

    weights = [layer.get_base_layer().weight for layer in lora_layers(model)]
    before = [weight.data for weight in weights]
    with torch.no_grad():
        for layer, weight in zip(lora_layers(model), weights, strict=True):
            weight.data = merged_weight(layer)
    try:
        with model.disable_adapter():
            yield
    finally:
        for weight, data in zip(weights, before, strict=True):
            weight.data = data


def lora_layers(model: Any) -> list[Any]:
    """Return the layers of a peft model that have an adapter."""
    from peft.tuners.lora import LoraLayer

    return [module for module in model.modules() if isinstance(module, LoraLayer)]


def merged_weight(layer: Any) -> Any:
    """Return a layer's weight and what its adapter adds, in the precision of the weight."""
    weight = layer.get_base_layer().weight.data
    total = weight.float()
    for adapter in layer.active_adapters:
        total = total + layer.get_delta_weight(adapter).float()
    return total.to(weight.dtype)
