"""A key-value cache with room: decoding writes in place, where transformers' own copies all of it each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache


def repeat_with_room(cache: DynamicCache, rows: torch.Tensor, room: int) -> None:
    """Repeat a prefilled cache's rows, and give each row room for that many more tokens.

    ``rows`` holds the row to copy for each row of the result. Layers of other kinds
    than full attention (sliding windows, states) are repeated and keep their own way.
    """
    from transformers.cache_utils import DynamicLayer

    class RoomyLayer(DynamicLayer):
        """A full-attention layer: keys and values, (batch, kv_heads, length, dim), are views of larger blocks."""

        def __init__(self, keys: torch.Tensor, values: torch.Tensor):
            super().__init__()
            self.lazy_initialization(keys, values)
            self.blocks = [self._block(keys), self._block(values)]
            self._show(keys.shape[-2])

        def _block(self, states: torch.Tensor) -> torch.Tensor:
            _, heads, length, width = states.shape
            block = states.new_empty(len(rows), heads, length + room, width)
            block[:, :, :length] = states[rows]
            return block

        def _show(self, length: int) -> tuple[torch.Tensor, torch.Tensor]:
            keys, values = (block[:, :, :length] for block in self.blocks)
            self.keys, self.values = keys, values
            return keys, values

        def batch_select_indices(self, indices: torch.Tensor) -> None:
            self.blocks = [block[indices] for block in self.blocks]
            self._show(self.get_seq_length())

        def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any):
            length = self.get_seq_length()
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
