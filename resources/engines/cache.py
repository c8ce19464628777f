"""A key-value cache with room: decoding writes in place, where transformers' own copies all of it each step.

What all rows begin with can stand there once: the attention of ``cpu.py`` reads it for all of them together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache

# The attribute of keys under which the keys and values stand that all rows begin with.
SHARED = "shared"


def repeat_with_room(cache: DynamicCache, rows: torch.Tensor, room: int, shared: int = 0) -> None:
    """Repeat a prefilled cache's rows, and give each row room for that many more tokens.

    ``rows`` holds the row to copy for each row of the result. The first ``shared`` tokens are those of
    row 0 and stand there once. Layers of other kinds than full attention (sliding windows, states)
    are repeated and keep their own way.
    """
    from transformers.cache_utils import DynamicLayer

    class RoomyLayer(DynamicLayer):
        """A full-attention layer: keys and values, (batch, kv_heads, length, dim), are views of larger blocks."""

        def __init__(self, keys: torch.Tensor, values: torch.Tensor):
            super().__init__()
            self.lazy_initialization(keys, values)
            self.shared = [states[:1, :, :shared].clone() for states in (keys, values)] if shared else None
            self.blocks = [self._block(keys[:, :, shared:]), self._block(values[:, :, shared:])]
            self._show(keys.shape[-2] - shared)

        def _block(self, states: torch.Tensor) -> torch.Tensor:
            _, heads, length, width = states.shape
            block = states.new_empty(len(rows), heads, length + room, width)
            block[:, :, :length] = states[rows]
            return block

        def _show(self, length: int) -> tuple[torch.Tensor, torch.Tensor]:
            keys, values = (block[:, :, :length] for block in self.blocks)
            setattr(keys, SHARED, self.shared)
            self.keys, self.values = keys, values
            return keys, values

        def get_seq_length(self) -> int:
            return shared + cast(Any, self.keys).shape[-2]

        def batch_select_indices(self, indices: torch.Tensor) -> None:
            self.blocks = [block[indices] for block in self.blocks]
            self._show(self.get_seq_length() - shared)

        def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any):
            length = self.get_seq_length() - shared
            end = length + key_states.shape[-2]
            for block, states in zip(self.blocks, (key_states, value_states), strict=True):
                block[:, :, length:end] = states
            return self._show(end)

    layers = cast(list[Any], cache.layers)
    for index, layer in enumerate(layers):
        if type(layer) is DynamicLayer:
            layers[index] = RoomyLayer(cast(Any, layer.keys), cast(Any, layer.values))
        else:
            layer.batch_select_indices(rows)


def reads_shared(model: Any) -> bool:
    """Return whether a model reads what its rows share: its next token is the same where that stands once.

    A model with an attention of its own would not see it.
    """
    import torch
    from transformers import DynamicCache

    ids = torch.arange(2, 18, device=model.device) % model.config.get_text_config().vocab_size
    last = ids[-1:].expand(2, 1)
    found = []
    with torch.inference_mode():
        for shared in (0, len(ids) // 2):
            cache = DynamicCache(config=model.config)
            model(input_ids=ids[None, :-1], past_key_values=cache, use_cache=True, logits_to_keep=1)
            repeat_with_room(cache, torch.zeros(2, dtype=torch.long, device=model.device), room=2, shared=shared)
            try:
                logits = model(input_ids=last, past_key_values=cache, use_cache=True).logits[:, -1]
            except RuntimeError:  # the mask is longer than what it sees
                return False
            found.append(logits.float())
    once, repeated = (torch.log_softmax(logits, dim=-1) for logits in found)
    return bool((once.exp() - repeated.exp()).abs().sum(dim=-1).max() < MOST_DIFFERENCE)


# Of two distributions over the next token, as the sum of what they differ in: rounding makes less, another context more.
MOST_DIFFERENCE = 0.1
