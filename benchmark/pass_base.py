"""What all ways of running a victim share: examples made ready, candidates that run together, and what was executed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from ..tasks import Example
from .shared_prefix import KeysValues
from .slot import Slot, Window
from .transfer import sent
from .victim import Victim

AGREEMENT = 1e-3
"""Largest difference, relative to size, at which two ways of running a victim count as equal."""
KEPT = 1 << 26
"""Numbers in an attack vocabulary's embeddings that are kept between gradients, at most."""
MODELS_DIFFER = (TypeError, AttributeError, ValueError, RuntimeError, LookupError)
"""What models raise that cannot share a prefix: they differ in what they pass to their attention."""


@dataclass
class Prepared:
    """An example's slot, ready for passes.

    keys_values: the prefix's keys and values, one pair of (1, heads, prefix, width) tensors per layer; None where
    passes run over the full text.
    parts: the same for every part of a victim that is made of several.
    """

    slot: Slot
    keys_values: KeysValues | None = None
    parts: tuple["Prepared", ...] = ()

    @property
    def label(self) -> int:
        return self.slot.example.label


@dataclass(frozen=True)
class Stem:
    """A string that candidates begin with, run behind its example's prefix.

    keys_values: its own, one pair of (1, heads, tokens, width) tensors per layer. parts: as in `Prepared`, None for a
    part that runs every candidate in full.
    """

    keys_values: KeysValues | None = None
    parts: tuple["Stem | None", ...] = ()


@dataclass(frozen=True)
class Unit:
    """Candidates of one example that run together: strings (rows, length) int64 token ids.

    stem: what their first `shared` tokens have in common; None, and 0, where they are run in full.
    """

    prepared: Prepared
    strings: np.ndarray
    stem: Stem | None = None
    shared: int = 0


def of_part(place: int, units: Sequence[Unit]) -> list[Unit]:
    """Units as one part of a victim that is made of several needs them."""
    found = []
    for unit in units:
        stem = None if unit.stem is None else unit.stem.parts[place]
        shared = 0 if stem is None else unit.shared
        found.append(Unit(unit.prepared.parts[place], unit.strings, stem, shared))
    return found


def stems_of_parts(parts: Sequence[list[Stem] | None]) -> list[Stem] | None:
    """Stems of a victim that is made of several; None where no part can share any."""
    count = max((len(part) for part in parts if part is not None), default=0)
    if not count:
        return None
    return [Stem(parts=tuple(None if part is None else part[i] for part in parts)) for i in range(count)]


class Passes(Protocol):
    """How a victim is run. Every method adds what it executed to `executed`."""

    name: str
    executed: float
    """Floating-point operations really executed so far, in FLOP."""

    def prepare(self, slot: Slot) -> Prepared: ...

    def stems(self, units: Sequence[Unit]) -> list[Stem] | None:
        """One for each row of units with equally long strings, in their order; None where it would save nothing."""
        ...

    def logits(self, units: Sequence[Unit]) -> Tensor:
        """Logits of all rows of units with equal numbers of rows, of shared and of tail tokens: (units, rows, 2)
        float32.
        """
        ...

    def slot_gradient(self, units: Sequence[Unit]) -> Tensor:
        """Gradient of the attack's loss with respect to the one-hot tokens of the slot, on the attack vocabulary.

        units: of one row each. The loss is the cross-entropy of the label that the example does not have.
        Returns (units, length, attack vocabulary) float32.
        """
        ...


class PassesBase:
    """What both ways of running a victim share: its parts, and the count of what was executed."""

    name = ""

    def __init__(self, victim: Victim, ids: np.ndarray | None = None) -> None:
        """ids: (attack vocabulary,) token ids, where they are not the victim's own."""
        self.victim = victim
        self.executed = 0.0
        self._embedding = victim.model.get_input_embeddings()
        head = getattr(victim.model, "score", None)
        self._head = head if isinstance(head, nn.Linear) else None
        """A decoder's classification head, applied to the hidden state at the end of the text."""
        self._words = victim.label_tokens is not None
        """Whether the victim is a language model, which gives the label words a logit at every token."""
        self._attack_ids = torch.from_numpy(victim.vocabulary.ids if ids is None else ids).to(victim.device)
        self._kept_embeddings: Tensor | None = None
        config = victim.model.config.get_text_config()
        self._per_token = 2 * linear_weights(victim.model)
        self._per_attended = 4 * config.hidden_size * config.num_hidden_layers

    def _count(self, rows: int, tokens: int, attended: int, passes: int = 1) -> None:
        """Add `passes` times a forward pass of rows x tokens, each token attending to about `attended` others."""
        self.executed += passes * rows * tokens * (self._per_token + self._per_attended * attended)

    @property
    def reads_one_token(self) -> bool:
        """Whether the answer is read at one token of the text, the last that is not padding."""
        return self._words or self._head is not None

    def _answers(self, places: Sequence[int] | np.ndarray, **inputs: Any) -> Tensor:
        """Logits at one token of each row: (rows, 2). places: (rows,) whole numbers; inputs: of the model."""
        model = self.victim.model
        if self._words:
            # By the model's own forward pass, as some models scale or cap their logits.
            found = model(**inputs, use_cache=False).logits
            return found[torch.arange(len(found), device=found.device), sent(places, found.device)]
        assert self._head is not None
        hidden = model.base_model(**inputs, use_cache=False).last_hidden_state
        read = hidden[torch.arange(len(hidden), device=hidden.device), sent(places, hidden.device)]
        return self._head(read.to(self._head.weight.dtype))

    def _ids(self, rows: Iterable[Sequence[int]]) -> Tensor:
        return sent(list(rows), self.victim.device)

    def _pool_position(self, tail: Sequence[int]) -> int:
        """Where the answer is read, from the end (-1, -2, ...): by a decoder's classifier at the rightmost token that
        is not its pad token, by a language model at the last.
        """
        if self._words:
            return -1
        pad = self.victim.model.config.get_text_config().pad_token_id
        for back, token in enumerate(reversed(tail), start=1):
            if token != pad:
                return -back
        return -1

    def _nothing_before(self) -> KeysValues:
        """Keys and values of a prefix without tokens."""
        config = self.victim.model.config.get_text_config()
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        empty = torch.empty(1, heads, 0, width, device=self.victim.device, dtype=self.victim.dtype)
        return [(empty, empty)] * config.num_hidden_layers

    def _one_hot_gradient(self, slot_embeddings: Tensor) -> Tensor:
        """(units, length, width) gradient of embeddings -> (units, length, attack vocabulary) of one-hot tokens."""
        flat = slot_embeddings.flatten(0, 1).float()
        return (flat @ self._attack_embeddings.T).view(*slot_embeddings.shape[:2], -1)

    @property
    def _attack_embeddings(self) -> Tensor:
        """Embeddings of the attack vocabulary: (attack vocabulary, width) float32. Kept unless they are large."""
        if self._kept_embeddings is not None:
            return self._kept_embeddings
        # By the model's own lookup, as some models scale what they look up.
        found = self._embedding(self._attack_ids).float()
        if found.numel() <= KEPT:
            self._kept_embeddings = found
        return found


def trial(victim: Victim) -> list[tuple[Slot, np.ndarray]]:
    """Slots in texts of random tokens, each with some strings, by which two ways of running a victim are compared."""
    rng = np.random.default_rng(0)
    drawn = victim.vocabulary.draw(rng, 1, 40)[0]
    example = Example(id="trial", before="", after="", label=0)
    nowhere = Window("", "", (), (), False)
    return [
        (
            Slot(example, 10, tuple(drawn[:prefix]), tuple(drawn[30:33]), False, nowhere, ""),
            victim.vocabulary.draw(rng, 2, 10),
        )
        for prefix in (17, 24)
    ]


def agree(ours: Tensor, theirs: Tensor, victim: Victim) -> bool:
    """Whether two ways of running a victim give the same, as far as its precision can tell."""
    tolerance = AGREEMENT if victim.exact else 0.1
    return ours.shape == theirs.shape and bool((ours - theirs).abs().max() <= tolerance * (1 + theirs.abs().max()))


def labels_beside(units: Sequence[Unit], rows: Tensor) -> Tensor:
    """The labels of the units' examples, one for each of their rows. rows: (units, rows per unit), as the result."""
    labels = sent([unit.prepared.label for unit in units], rows.device)
    return labels[:, None].expand(rows.shape)


def linear_weights(module: nn.Module) -> int:
    """Weights that every token is multiplied with."""
    return sum(each.weight.numel() for each in module.modules() if isinstance(each, nn.Linear | Conv1D))


def loss_of(logits: Tensor, labels: Sequence[int]) -> Tensor:
    """Sum over rows of the cross-entropy of the wrong label. logits: (rows, 2)."""
    targets = sent([1 - label for label in labels], logits.device)
    return nn.functional.cross_entropy(logits.float(), targets, reduction="sum")
