"""The victim's passes as an attack needs them: margins of many candidates, and the gradient at a slot.

Decoders share the clean prefix: its keys and values are computed once per example and every candidate attends to
that one copy (see `shared_prefix`), so a candidate costs only the slot and what follows it. Encoders, where every
token sees every other, and decoders whose attention cannot be taken apart, get the full text each time. Which of the
two is right for a victim is found by trying: the shared pass is used only where it gives the full pass's logits.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from .ensemble import Ensemble
from .filtered import Filtered
from .filtered_passes import BehindFilter
from .last_token import last_block, only_the_last_token
from .member_passes import MostOfMembers
from .pass_base import MODELS_DIFFER, Passes, PassesBase, Prepared, Stem, Unit, agree, linear_weights, loss_of, trial
from .shared_prefix import KeysValues, SharedPrefixAttention
from .slot import Slot
from .transfer import sent
from .victim import Victim


def passes_for(victim: Victim, ids: np.ndarray | None = None) -> Passes:
    """The fastest passes that agree with the victim's own full pass.

    ids: (attack vocabulary,) token ids, where they are not the victim's own.
    """
    victim.require_labels()
    if isinstance(victim, Ensemble | Filtered):
        return _of_several(victim, passes_for)
    full = FullText(victim, ids)
    if not (full.reads_one_token and SharedPrefixAttention.fits(victim.model)):
        return full
    for block in (last_block(victim.model), None):
        shared = SharedPrefix(victim, ids, block)
        if _agree(victim, shared, full):
            return shared
    return full


def full_text(victim: Victim, ids: np.ndarray | None = None) -> Passes:
    """The victim's own full pass."""
    if isinstance(victim, Ensemble | Filtered):
        return _of_several(victim, full_text)
    return FullText(victim, ids)


def _of_several(victim: Ensemble | Filtered, choose: Callable[[Victim, np.ndarray], Passes]) -> Passes:
    """Passes of a victim that is made of several; those of each part as chosen, on the vocabulary of the whole."""
    ids = victim.vocabulary.ids
    if isinstance(victim, Filtered):
        return BehindFilter(victim, choose(victim.asked, ids))
    return MostOfMembers([choose(member, ids) for member in victim.members])


class SharedPrefix(PassesBase):
    """Decoders: the prefix once per example, then only the slot and what follows it, for all candidates at once.

    The answer is read at one token, the last. So in the last layer only that token needs to attend,
    and to go through the feed-forward block, which is most of that layer. last_block: that block; None to run it in
    full.
    """

    name = "shared prefix"

    def __init__(self, victim: Victim, ids: np.ndarray | None = None, last_block: nn.Module | None = None) -> None:
        super().__init__(victim, ids)
        self._last_block = last_block
        self._in_last_block = 0 if last_block is None else 2 * linear_weights(last_block)

    def prepare(self, slot: Slot) -> Prepared:
        if not slot.prefix:
            return Prepared(slot, self._nothing_before())
        with torch.inference_mode():
            cache = self.victim.model.base_model(input_ids=self._ids([slot.prefix]), use_cache=True).past_key_values
        self._count(1, len(slot.prefix), len(slot.prefix) // 2)
        # Normal tensors, not inference ones: the gradient pass attends to them too.
        return Prepared(slot, [(layer.keys.clone(), layer.values.clone()) for layer in cache.layers])

    def stems(self, units: Sequence[Unit]) -> list[Stem] | None:
        model = self.victim.model
        rows, tokens = units[0].strings.shape
        ids = self._ids(string for unit in units for string in unit.strings.tolist())
        found: KeysValues = []
        with torch.inference_mode(), SharedPrefixAttention.stack(list(map(_before, units)), tails=found)(model):
            model.base_model(input_ids=ids, position_ids=self._places(units, rows, tokens), use_cache=False)
        self._count(len(ids), tokens, sum(map(_started, units)) // len(units) + tokens)
        # Copies: as views, each would keep the whole batch in memory for as long as its example stands still.
        return [
            Stem([(key[i : i + 1].clone(), value[i : i + 1].clone()) for key, value in found]) for i in range(len(ids))
        ]

    def logits(self, units: Sequence[Unit]) -> Tensor:
        rows = len(units[0].strings)
        ids = self._ids(
            [*string, *unit.prepared.slot.suffix]
            for unit in units
            for string in unit.strings[:, unit.shared :].tolist()
        )
        with torch.inference_mode():
            return self._run(units, rows, input_ids=ids).view(len(units), rows, 2).float()

    def slot_gradient(self, units: Sequence[Unit]) -> Tensor:
        ids = self._ids([*unit.strings[0].tolist(), *unit.prepared.slot.suffix] for unit in units)
        with torch.enable_grad():
            embeddings = self._embedding(ids).detach().requires_grad_(True)
            logits = self._run(units, 1, inputs_embeds=embeddings)
            loss = loss_of(logits, [unit.prepared.label for unit in units])
            (gradient,) = torch.autograd.grad(loss, embeddings)
        tail = ids.shape[1]
        self._count(len(units), tail, len(units[0].prepared.slot.prefix) + tail, passes=2)
        with torch.inference_mode():
            return self._one_hot_gradient(gradient[:, : units[0].prepared.slot.length])

    def _run(self, units: Sequence[Unit], rows: int, **inputs: Tensor) -> Tensor:
        """Logits of the tails given as input_ids or inputs_embeds: (units * rows, 2)."""
        model = self.victim.model
        tail = next(iter(inputs.values())).shape[1]
        positions = self._places(units, rows, tail)
        pooled = [tail + self._pool_position(unit.prepared.slot.suffix or (-1,)) for unit in units]
        # Where the last token is one that pooling skips, another one is read.
        at_the_end = self._last_block is not None and set(pooled) == {tail - 1}
        prefixes = SharedPrefixAttention.stack(
            list(map(_before, units)),
            ends_in=model.config.get_text_config().num_hidden_layers - 1 if at_the_end else None,
        )
        with prefixes(model), only_the_last_token(self._last_block if at_the_end else None):
            logits = self._answers(np.repeat(pooled, rows), position_ids=positions, **inputs)
        self._count(len(positions), tail, sum(map(_started, units)) // len(units) + tail)
        if at_the_end:
            self.executed -= len(positions) * (tail - 1) * self._in_last_block
        return logits

    def _places(self, units: Sequence[Unit], rows: int, tokens: int) -> Tensor:
        """Positions of the tokens that are run of each row: (units * rows, tokens) int64."""
        starts = sent(list(map(_started, units)), self.victim.device)
        return starts.repeat_interleave(rows)[:, None] + torch.arange(tokens, device=self.victim.device)


class FullText(PassesBase):
    """Any victim: the full text of every candidate, padded on the right to the longest of the batch."""

    name = "full text"

    def prepare(self, slot: Slot) -> Prepared:
        return Prepared(slot)

    def stems(self, units: Sequence[Unit]) -> list[Stem] | None:
        return None

    def logits(self, units: Sequence[Unit]) -> Tensor:
        rows = len(units[0].strings)
        texts = [
            [*unit.prepared.slot.prefix, *string, *unit.prepared.slot.suffix]
            for unit in units
            for string in unit.strings.tolist()
        ]
        ids, mask, lengths = self._padded(texts)
        with torch.inference_mode():
            return self._run(lengths, texts, mask, input_ids=ids).view(len(units), rows, 2).float()

    def slot_gradient(self, units: Sequence[Unit]) -> Tensor:
        slots = [unit.prepared.slot for unit in units]
        texts = [
            [*slot.prefix, *unit.strings[0].tolist(), *slot.suffix] for slot, unit in zip(slots, units, strict=True)
        ]
        ids, mask, lengths = self._padded(texts)
        with torch.enable_grad():
            embeddings = self._embedding(ids).detach().requires_grad_(True)
            logits = self._run(lengths, texts, mask, inputs_embeds=embeddings)
            loss = loss_of(logits, [slot.example.label for slot in slots])
            (gradient,) = torch.autograd.grad(loss, embeddings)
        self._count(len(units), ids.shape[1], ids.shape[1], passes=2)
        with torch.inference_mode():
            starts = sent([len(slot.prefix) for slot in slots], ids.device)
            places = starts[:, None] + torch.arange(slots[0].length, device=ids.device)
            return self._one_hot_gradient(gradient[torch.arange(len(units), device=ids.device)[:, None], places])

    def _padded(self, texts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor, list[int]]:
        lengths = [len(text) for text in texts]
        longest = max(lengths)
        pad = min(self.victim.pads, default=0)
        ids = self._ids([*text, *[pad] * (longest - len(text))] for text in texts)
        mask = torch.arange(longest, device=ids.device)[None, :] < sent(lengths, ids.device)[:, None]
        return ids, mask.long(), lengths

    def _run(self, lengths: list[int], texts: Sequence[Sequence[int]], mask: Tensor, **inputs: Tensor) -> Tensor:
        """Logits of padded texts given as input_ids or inputs_embeds: (rows, 2)."""
        self._count(len(mask), mask.shape[1], mask.shape[1])
        if not self.reads_one_token:
            return self.victim.model(**inputs, attention_mask=mask).logits
        # Decoder classifiers pool at the last position when they are given embeddings: pool where the text ends.
        ends = [length + self._pool_position(text) for length, text in zip(lengths, texts, strict=True)]
        return self._answers(ends, attention_mask=mask, **inputs)


def _before(unit: Unit) -> list[KeysValues]:
    """Keys and values of what stands before a unit's tails."""
    found = [unit.prepared.keys_values or []]
    if unit.stem is not None and unit.stem.keys_values is not None and unit.shared:
        found.append([(key[:, :, : unit.shared], value[:, :, : unit.shared]) for key, value in unit.stem.keys_values])
    return found


def _started(unit: Unit) -> int:
    """Tokens that stand before a unit's tails."""
    return len(unit.prepared.slot.prefix) + unit.shared


def _agree(victim: Victim, shared: SharedPrefix, full: FullText) -> bool:
    """Whether both passes give the same logits on random tokens; one that cannot be run does not."""
    trials = trial(victim)
    try:
        ours = shared.logits([Unit(shared.prepare(slot), strings) for slot, strings in trials])
    except MODELS_DIFFER:
        return False
    theirs = full.logits([Unit(full.prepare(slot), strings) for slot, strings in trials])
    shared.executed = full.executed = 0.0
    return agree(ours, theirs, victim)
