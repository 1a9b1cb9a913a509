"""Causal language models as classifiers: their answer is the logits of a task's two label words.

Every prompt ends in `Answer:`, and the word that would come next is read: the logits that the model gives, at the last
token of the prompt, to the first tokens of ` no` and ` yes`. So two rows of the model's head are enough, and no other
is computed. All else is the model's own forward pass, with whatever it does to its logits.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from ..tasks import CheckpointError

PROMPT_END = "Answer:"
"""What prompts end in; a label word follows it after a space."""
_LANGUAGE_MODELS = frozenset(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())


def is_causal(config: Any) -> bool:
    """Whether a configuration says that the checkpoint is a causal language model."""
    names = config.architectures
    return isinstance(names, list) and any(name in _LANGUAGE_MODELS for name in names if isinstance(name, str))


def label_tokens(tokenizer: PreTrainedTokenizerFast, labels: Sequence[str], name: str) -> tuple[int, int]:
    """The first token of each of two label words, as they would follow a prompt. Raises: CheckpointError."""
    prompt = tokenizer(PROMPT_END)["input_ids"]
    first = []
    for label in labels:
        ids = tokenizer(f"{PROMPT_END} {label}")["input_ids"]
        if ids[: len(prompt)] != prompt or len(ids) == len(prompt):
            raise CheckpointError(
                f"The tokenizer of {name} does not write the label word {label!r} behind {PROMPT_END!r} as tokens of "
                "its own, so the word cannot be read there; use a tokenizer that adds nothing at the end of a text."
            )
        if ids[len(prompt)] == tokenizer.unk_token_id:
            raise CheckpointError(f"The tokenizer of {name} has no token for the label word {label!r}.")
        first.append(ids[len(prompt)])
    if first[0] == first[1]:
        raise CheckpointError(
            f"The label words {labels[0]!r} and {labels[1]!r} begin with the same token for the tokenizer of {name}, "
            "so the model's next token cannot tell them apart."
        )
    return first[0], first[1]


def with_two_rows(model: PreTrainedModel, tokens: tuple[int, int], name: str) -> PreTrainedModel:
    """A language model whose logits are those of two tokens: (..., 2). It shares all but its head with the one given.

    Raises: CheckpointError when the head cannot be cut down without changing the two logits.
    """
    head = model.get_output_embeddings()
    refusal = CheckpointError(
        f"{name} does not compute its logits by one linear layer over its tokens, so label words cannot be read; train "
        "it as a sequence classifier."
    )
    if not isinstance(head, nn.Linear) or not any(child is head for child in model.children()):
        raise refusal
    if max(tokens) >= head.out_features:
        raise CheckpointError(
            f"The tokenizer of {name} writes the token {max(tokens)}, but the model has only {head.out_features} "
            "tokens; they do not belong together."
        )
    rows = nn.Linear(head.in_features, 2, bias=head.bias is not None, device="meta")
    rows.weight = nn.Parameter(head.weight.detach()[list(tokens)].clone(), requires_grad=False)
    if head.bias is not None:
        rows.bias = nn.Parameter(head.bias.detach()[list(tokens)].clone(), requires_grad=False)
    cut = copy.copy(model)
    # A copy's own table of submodules, so that the head is exchanged here and not in the model given.
    cut._modules = dict(model._modules)
    cut.set_output_embeddings(rows)
    _spread_alike(model, cut, rows)
    if not _same(model, cut, tokens):
        raise refusal
    return cut


def _spread_alike(model: PreTrainedModel, cut: PreTrainedModel, rows: nn.Linear) -> None:
    """Bring inputs to the card of each part of a copy, where the model is spread over several.

    What does that wraps a model's forward pass, and the copy's would still be the model's own.
    """
    hook = cut.__dict__.pop("_hf_hook", None)
    if hook is None:
        return
    for name in ("forward", "_old_forward"):
        cut.__dict__.pop(name, None)
    add_hook_to_module(cut, hook)
    add_hook_to_module(rows, AlignDevicesHook(execution_device=rows.weight.device))


def _same(model: PreTrainedModel, cut: PreTrainedModel, tokens: tuple[int, int]) -> bool:
    """Whether both give two tokens the same logits, up to rounding, or none that are finite."""
    ids = torch.tensor([tokens], device=model.device)
    with torch.inference_mode():
        whole = model(input_ids=ids).logits[..., list(tokens)].float()
        ours = cut(input_ids=ids).logits.float()
    tolerance = 1e-3 if model.dtype == torch.float32 else 0.1
    return ours.shape == whole.shape and torch.allclose(ours, whole, rtol=tolerance, atol=tolerance, equal_nan=True)
