"""Attention over a shared prefix: many candidates attend to one copy of their example's keys and values.

Softmax attention over a prefix and a tail splits exactly: each part is attended to on its own, and the two outputs are
averaged with the weights that their log-sum-exps give [Dao et al. 2022, sec. 3.1; Juravsky et al. 2024]. The prefix
part is one large matrix product per example, whatever the number of candidates, and nothing is copied per candidate.
The function is plugged in through transformers' attention interface, so no model code is touched.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from .transfer import sent

KeysValues = list[tuple[Tensor, Tensor]]
"""Per layer, keys and values: each (units, heads, prefix, width)."""

SOFTMAX_WIDTH = 32
"""PyTorch's softmax in bfloat16 is three times as fast over rows of a multiple of so many numbers."""
_NAME = "holdfast_shared_prefix"


@dataclass(frozen=True)
class SharedPrefixAttention:
    """The prefixes of the units in one forward pass.

    keys_values: per layer (units, heads, longest prefix, width), padded on the right.
    mask: (units, 1, 1, longest prefix), 0 where there is a token and -inf where there is padding; None without padding.
    bare: (units, 1, 1, 1), which units have no prefix at all; None if all have one, or none has.
    ends_in: the last layer, where only the last token of a tail is ever read, so that only it need attend; None where
    all are read.
    tails: where the tails' own keys and values are wanted, they are put here, layer by layer.
    """

    keys_values: KeysValues
    mask: Tensor | None
    bare: Tensor | None = None
    ends_in: int | None = None
    tails: KeysValues | None = None

    @staticmethod
    def fits(model: PreTrainedModel) -> bool:
        """Whether the model is a decoder whose layers all attend in full and can be given a prefix."""
        config = model.config.get_text_config()
        layers = getattr(config, "layer_types", None) or ["full_attention"]
        windowed = getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
        return (
            set(layers) == {"full_attention"}
            and (not windowed or getattr(config, "layer_types", None) is not None)
            and getattr(model.config, "is_causal", True)
            and model._supports_sdpa
        )

    @staticmethod
    def stack(
        parts: Sequence[Sequence[KeysValues]], ends_in: int | None = None, tails: KeysValues | None = None
    ) -> "SharedPrefixAttention":
        """Put the prefixes of several units side by side.

        parts: of each unit what its prefix consists of, one after another, each of (1, heads, its tokens, width) per
        layer.
        """
        lengths = [sum(piece[0][0].shape[2] for piece in part) for part in parts]
        longest = max(lengths)
        first = parts[0][0]
        mask = bare = None
        if min(lengths) < longest:
            device = first[0][0].device
            filled = torch.arange(longest, device=device)[None, :] < sent(lengths, device)[:, None]
            mask = first[0][0].new_zeros(filled.shape).masked_fill(~filled, float("-inf"))[:, None, None, :]
            bare = None if min(lengths) else ~filled.any(dim=1)[:, None, None, None]
        stacked = []
        for layer in range(len(first)):
            stacked.append(
                tuple(_side_by_side([[piece[layer][i] for piece in part] for part in parts], longest) for i in (0, 1))
            )
        return SharedPrefixAttention(stacked, mask, bare, ends_in, tails)

    @contextmanager
    def __call__(self, model: PreTrainedModel) -> Iterator[None]:
        """Within this context the model's rows are tails that attend to these prefixes, unit after unit."""
        usual = model.config._attn_implementation
        token = _current.set(self)
        model.config._attn_implementation = _NAME
        try:
            yield
        finally:
            model.config._attn_implementation = usual
            _current.reset(token)


_current: ContextVar[SharedPrefixAttention] = ContextVar("shared_prefix")


def _side_by_side(units: list[list[Tensor]], longest: int) -> Tensor:
    """Each unit's tensors one after another, padded: (units, heads, longest, width)."""
    first = units[0][0]
    if all(len(tensors) == 1 and tensors[0].shape[2] == longest for tensors in units):
        return first if len(units) == 1 else torch.cat([tensor for [tensor] in units])
    # All in one call, as a card is slower to be given many small copies than to make them.
    padding = first.new_zeros(1, first.shape[1], longest, first.shape[3])
    pieces: list[Tensor] = []
    for tensors in units:
        pieces += [*tensors, padding[:, :, : longest - sum(tensor.shape[2] for tensor in tensors)]]
    joined = torch.cat(pieces, dim=2)
    return joined.view(first.shape[1], len(units), longest, first.shape[3]).transpose(0, 1)


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each tail, and from each tail to its unit's prefix.

    query: (units * rows, heads, tail, width); key, value: the same, with as many heads as the model has for keys.
    Returns (units * rows, tail, heads, width), and None for the weights; in the layer that the prefixes say the text
    ends in, every token of a tail gets what its last one gets.
    """
    shared = _current.get()
    layer = int(module.layer_idx)  # type: ignore[arg-type]
    prefix_key, prefix_value = shared.keys_values[layer]
    if shared.tails is not None:
        shared.tails.append((key, value))
    # Where a model is spread over several cards, each layer has keys and values on its own.
    masked = None if shared.mask is None else shared.mask.to(prefix_key.device)
    tokens = query.shape[2]
    causal = layer != shared.ends_in
    if not causal:
        # The last token sees all others of its tail.
        query = query[:, :, -1:]
    batch, heads, tail, width = query.shape
    units = prefix_key.shape[0]
    rows = batch // units
    scale = scaling if scaling is not None else width**-0.5
    if key.shape[1] != heads:
        key, value = _repeat_heads(key, heads), _repeat_heads(value, heads)
        prefix_key, prefix_value = _repeat_heads(prefix_key, heads), _repeat_heads(prefix_value, heads)
    if prefix_key.shape[2] == 0:
        merged = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=causal, scale=scale)
    elif rows == 1:
        # Nothing to share, and the way that autograd knows: attend to prefix and tail together.
        mask = _joint_mask(masked, units, prefix_key.shape[2], tokens, query)[:, :, -tail:]
        merged = nn.functional.scaled_dot_product_attention(
            query,
            torch.cat([prefix_key, key], dim=2),
            torch.cat([prefix_value, value], dim=2),
            attn_mask=mask,
            scale=scale,
        )
    elif _in_one_softmax(query):
        merged = _attention_over_both(query, key, value, prefix_key, prefix_value, masked, causal, scale)
    else:
        bare = None if shared.bare is None else shared.bare.to(prefix_key.device)
        if bare is not None and masked is not None:
            # A softmax over nothing is no number: these attend to padding, and get none of it.
            masked = masked.masked_fill(bare, 0.0)
        flat = query.view(units, rows, heads, tail, width).transpose(1, 2).reshape(units, heads, rows * tail, width)
        over_prefix, prefix_weight = _attention_with_weight(flat, prefix_key, prefix_value, masked, False, scale)
        over_tail, tail_weight = _attention_in_the_open(query, key, value, None, causal, scale)
        over_prefix = over_prefix.view(units, heads, rows, tail, width).transpose(1, 2)
        prefix_weight = prefix_weight.view(units, heads, rows, tail).transpose(1, 2)
        if bare is not None:
            prefix_weight = prefix_weight.masked_fill(bare, float("-inf"))
        share = torch.sigmoid(prefix_weight - tail_weight.view(units, rows, heads, tail)).unsqueeze(-1)
        merged = torch.lerp(over_tail.view(units, rows, heads, tail, width), over_prefix, share.to(query.dtype))
        merged = merged.view(batch, heads, tail, width)
    return merged.transpose(1, 2).expand(batch, tokens, heads, width).contiguous(), None


def _repeat_heads(tensor: Tensor, heads: int) -> Tensor:
    """Grouped-query attention: (batch, key heads, tokens, width) -> (batch, heads, tokens, width)."""
    return tensor.repeat_interleave(heads // tensor.shape[1], dim=1)


def _joint_mask(mask: Tensor | None, units: int, prefix: int, tail: int, like: Tensor) -> Tensor:
    """(units, 1, tail, prefix + tail): causal within the tail, open to the prefix except its padding."""
    causal = torch.full((tail, tail), float("-inf"), dtype=like.dtype, device=like.device).triu(1)
    opened = like.new_zeros(units, 1, tail, prefix) if mask is None else mask.expand(units, 1, tail, prefix)
    return torch.cat([opened, causal.expand(units, 1, tail, tail)], dim=-1)


def _attention_on_cpu(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool, scale: float
) -> tuple[Tensor, Tensor]:
    return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, causal, attn_mask=mask, scale=scale
    )


def _attention_in_the_open(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool, scale: float
) -> tuple[Tensor, Tensor]:
    """By plain products. Over a short tail that is faster than any fused kernel, as there is little to fuse."""
    batch, heads, queries, width = query.shape
    tokens = key.shape[2]
    flat = [each.reshape(batch * heads, -1, width) for each in (query, key, value)]
    bias = query.new_zeros(1)
    if causal:
        bias = query.new_full((queries, tokens), float("-inf")).triu(1)
    elif mask is not None:
        bias = mask.expand(batch, heads, 1, tokens).reshape(batch * heads, 1, tokens)
    scores = torch.baddbmm(bias, flat[0], flat[1].transpose(1, 2), alpha=scale).float()
    highest = scores.amax(dim=-1, keepdim=True)
    shares = scores.sub_(highest).exp_()
    total = shares.sum(dim=-1, keepdim=True)
    found = torch.bmm((shares / total).to(value.dtype), flat[2])
    weight = highest + total.log()
    return found.view(batch, heads, queries, width), weight.view(batch, heads, queries)


def _attention_over_both(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    prefix_key: Tensor,
    prefix_value: Tensor,
    mask: Tensor | None,
    causal: bool,
    scale: float,
) -> Tensor:
    """Prefix and tail in one softmax: (units * rows, heads, tail, width).

    query: that shape, or with one token in place of the tail; key, value: that shape. prefix_key, prefix_value: (units,
    heads, prefix, width). mask: (units, 1, 1, prefix).
    """
    batch, heads, tail, width = query.shape
    units, _, prefix, _ = prefix_key.shape
    rows, tokens = batch // units, key.shape[2]
    wide = -(-(prefix + tokens) // SOFTMAX_WIDTH) * SOFTMAX_WIDTH

    # Room for the tail's scores beside those of the prefix; where these are zeros, nothing is added to what is found.
    keys, values = (
        nn.functional.pad(each, (0, 0, 0, wide - prefix)).view(units * heads, wide, width)
        for each in (prefix_key, prefix_value)
    )
    query = query * scale
    asked = query.view(units, rows, heads, tail, width).transpose(1, 2).reshape(units * heads, rows * tail, width)
    scores = torch.bmm(asked, keys.transpose(1, 2)).view(units, heads, rows, tail, wide)
    if mask is not None:
        scores[..., :prefix] += mask[:, :, None]
    flat = [each.reshape(batch * heads, -1, width) for each in (query, key, value)]
    of_tail = torch.bmm(flat[0], flat[1].transpose(1, 2)).view(units, rows, heads, tail, tokens)
    if causal:
        of_tail += query.new_full((tail, tokens), float("-inf")).triu(1)
    scores[..., prefix : prefix + tokens] = of_tail.transpose(1, 2)
    scores[..., prefix + tokens :] = float("-inf")
    torch.softmax(scores, dim=-1, out=scores)
    over_prefix = torch.bmm(scores.view(units * heads, rows * tail, wide), values)
    shares = scores[..., prefix : prefix + tokens].transpose(1, 2).reshape(batch * heads, tail, tokens)
    over_tail = torch.bmm(shares, flat[2])
    merged = query.new_empty(units, rows, tail, heads, width)
    torch.add(
        over_prefix.view(units, heads, rows, tail, width).permute(0, 2, 3, 1, 4),
        over_tail.view(units, rows, heads, tail, width).transpose(2, 3),
        out=merged,
    )
    return merged.view(batch, tail, heads, width).transpose(1, 2)


def _in_one_softmax(query: Tensor) -> bool:
    """Whether prefix and tail are faster together: in low precision on a CPU, whose fused kernel is slow there."""
    return query.device.type == "cpu" and query.dtype != torch.float32 and not torch.is_grad_enabled()


def _attention_with_weight(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool, scale: float
) -> tuple[Tensor, Tensor]:
    """Attention and the log-sum-exp of its scores: (..., queries, width) and (..., queries) float32."""
    return (_attention_on_cpu if _fused_on(query) else _attention_in_the_open)(query, key, value, mask, causal, scale)


def _fused_on(query: Tensor) -> bool:
    """PyTorch's CPU kernel gives the log-sum-exp along; elsewhere, and without the kernel, it is computed openly."""
    available: Callable[..., object] | None = getattr(
        torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None
    )
    return query.device.type == "cpu" and available is not None and not torch.is_grad_enabled()


AttentionInterface.register(_NAME, _attend)
