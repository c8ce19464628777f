"""What a CPU needs to decode fast: attention without copies, memory kept, a type it computes in."""

from __future__ import annotations

import ctypes
import time
from typing import TYPE_CHECKING, Any

from resources.engines.cache import SHARED

if TYPE_CHECKING:
    import torch

GROUPED_SDPA = "grouped_sdpa"
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
GIBIBYTE = 1 << 30


def native_dtype() -> torch.dtype:
    """Return bfloat16 where the hardware computes in it, else float32: emulation is several times slower."""
    import torch

    cpu = torch.cpu.get_capabilities()
    native = torch.cuda.is_available() or cpu.get("avx512_bf16") or cpu.get("amx_bf16")
    return torch.bfloat16 if native else torch.float32


def multiplications_a_second(seconds: float = 1.0) -> float | None:
    """Return the floating point operations a second of this CPU in matrices as a small model has; None where a GPU is there."""
    import torch

    if torch.cuda.is_available():
        return None
    left, right = (torch.ones(shape, dtype=native_dtype()) for shape in ((256, 1024), (1024, 4096)))
    for _ in range(3):
        torch.mm(left, right)
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        torch.mm(left, right)
        done += 1
    return 2 * 256 * 1024 * 4096 * done / (time.perf_counter() - started)


def attention_to_decode_with() -> str:
    """Return the attention with which a model is loaded that is sampled from: on a CPU that of this module."""
    import torch

    return "sdpa" if torch.cuda.is_available() else register_grouped_sdpa()


def register_grouped_sdpa() -> str:
    """Make grouped_attention known to transformers and return its name."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(GROUPED_SDPA, grouped_attention)
    AttentionMaskInterface.register(GROUPED_SDPA, sdpa_mask)
    return GROUPED_SDPA


def grouped_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Return scaled dot-product attention, at a decoding step without repeating keys and values.

    The heads that share a key-value head stand in the place of query positions,
    (batch, kv_heads, heads / kv_heads, dim): at a single position causality cannot
    tell them apart. transformers' own function copies the cache once per head
    instead, a third of a decoding step on a CPU.

    What all rows share (``cache.py``) is read once, by the queries of all rows, in place of
    once a row.
    """
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    batch, heads, positions, width = query.shape
    shared = getattr(key, SHARED, None)
    if shared and positions != 1:
        raise ValueError("what rows share is read at decoding steps alone")
    if positions != 1 or kwargs.get("position_bias") is not None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    grouped = query.view(batch, key.shape[1], heads // key.shape[1], width)
    if shared:
        return _with_shared(grouped, key, value, shared, attention_mask, scaling).reshape(batch, 1, heads, width), None
    attended = torch.nn.functional.scaled_dot_product_attention(
        grouped, key, value, attn_mask=attention_mask, scale=scaling
    )
    return attended.reshape(batch, 1, heads, width), None


def _with_shared(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    shared: list[torch.Tensor],
    attention_mask: torch.Tensor | None,
    scaling: float | None,
) -> torch.Tensor:
    """Return the attention of queries, (batch, kv_heads, group, dim), over the keys that all share and each row's own.

    Each part's attention is weighed by its sum of exponentials, as in Cascade Inference and Hydragen
    (arXiv 2402.05099).
    """
    import torch

    attend = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    batch, kv_heads, group, width = query.shape
    keys, values = shared
    own_mask = None if attention_mask is None else attention_mask[..., keys.shape[2] :]
    if own_mask is not None and own_mask.dtype == torch.bool:
        own_mask = torch.zeros_like(own_mask, dtype=query.dtype).masked_fill(~own_mask, float("-inf"))
    own, own_weight = attend(query, key, value, attn_mask=own_mask, scale=scaling)
    together = query.transpose(0, 1).reshape(1, kv_heads, batch * group, width)
    common, common_weight = attend(together, keys, values, scale=scaling)
    common = common.view(kv_heads, batch, group, width).transpose(0, 1)
    common_weight = common_weight.view(kv_heads, batch, group).transpose(0, 1)
    part = torch.sigmoid(common_weight - own_weight)[..., None]
    return (part * common + (1 - part) * own).to(query.dtype)


def keep_freed_memory() -> None:
    """Ask the C library to reuse large blocks: giving each back costs a page fault per 4 KiB.

    Only glibc has the call; elsewhere nothing is changed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, GIBIBYTE)
        mallopt(M_TRIM_THRESHOLD, GIBIBYTE)


def return_freed_memory() -> None:
    """Give back to the system what keep_freed_memory kept, before another process needs it."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
