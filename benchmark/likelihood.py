"""How likely a causal language model finds texts: the mean loss per token, whose exponential is the perplexity.

The first token of a text has nothing before it and is not counted. Candidates share the clean prefix as they do in a
victim's own passes, and its part of the loss is computed once per example; where a model cannot share its prefix,
every candidate is run on its full text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..tasks import CheckpointError
from .pass_base import MODELS_DIFFER, PassesBase, Prepared, Unit, agree, trial
from .shared_prefix import SharedPrefixAttention
from .slot import Slot
from .transfer import sent
from .victim import Victim, one_thread_on_cpu

AT_ONCE = 1 << 26
"""Logits (tokens x vocabulary) that are in memory at a time."""


@dataclass
class ReadPrefix(Prepared):
    """An example whose prefix has been read.

    loss: of the prefix's tokens, summed. next_losses: (tokens of the model,) of each token that could stand first
    behind it; None where there is no prefix, or it is read with every candidate.
    """

    loss: float = 0.0
    next_losses: Tensor | None = None


def mean_loss(victim: Victim, text: str) -> float:
    """Mean loss per token of a text by the public path: tokenized from scratch, unpadded, in fp32. In nats.

    Of a text that is longer than the model's context only the end is read. A text of one token has the loss 0.
    """
    with torch.inference_mode(), one_thread_on_cpu(victim.device):
        ids = victim.token_ids(text)[:, -victim.context :]
        if ids.shape[1] < 2:
            return 0.0
        logits = victim.judged(ids)[:-1].float()
        return float(nn.functional.cross_entropy(logits, ids[0, 1:]))


class Likelihood(PassesBase):
    """Mean losses of candidates under a causal language model, as a victim without label words.

    ids: the attack vocabulary. Raises: CheckpointError for a model whose logits are not those of one linear layer.
    """

    def __init__(self, victim: Victim, ids: np.ndarray) -> None:
        super().__init__(victim, ids)
        head = victim.model.get_output_embeddings()
        if not isinstance(head, nn.Linear) or not self._is_whole_head(head):
            raise CheckpointError(
                f"{victim.reference} does not compute its logits by one linear layer over its tokens, so it cannot "
                "tell how likely an attack string is; choose another language model."
            )
        self._predict = head
        self._shares = SharedPrefixAttention.fits(victim.model) and self._sharing_agrees()
        self.executed = 0.0

    def prepare(self, slot: Slot) -> ReadPrefix:
        if not (self._shares and slot.prefix):
            return ReadPrefix(slot, self._nothing_before() if self._shares else None)
        ids = self._ids([slot.prefix])
        with torch.inference_mode():
            output = self.victim.model.base_model(input_ids=ids, use_cache=True)
            loss = float(self._losses(output.last_hidden_state, ids).sum())
            following = self._logits(output.last_hidden_state[0, -1]).log_softmax(-1).neg()
        self._count(1, len(slot.prefix), len(slot.prefix) // 2)
        # Normal tensors, not inference ones: the gradient pass attends to them too.
        keys_values = [(layer.keys.clone(), layer.values.clone()) for layer in output.past_key_values.layers]
        return ReadPrefix(slot, keys_values, loss=loss, next_losses=following.clone())

    def losses(self, units: Sequence[Unit]) -> Tensor:
        """Mean losses of all rows of units with equal numbers of rows and of tail tokens: (units, rows) float32."""
        found = []
        for group in self._groups(units):
            rows = len(group[0].strings)
            ids = self._tails(group)
            with torch.inference_mode():
                sums = self._losses(self._hidden(group, rows, input_ids=ids), ids).sum(dim=1).view(len(group), rows)
                for unit, own, first in zip(group, sums, ids[:, 0].view(len(group), rows), strict=True):
                    prefix = _read(unit)
                    start = 0.0 if prefix.next_losses is None else prefix.next_losses[first]
                    found.append((prefix.loss + start + own) / _counted(unit))
        return torch.stack(found)

    def slot_gradient(self, units: Sequence[Unit]) -> Tensor:
        """Gradient of each mean loss with respect to the one-hot tokens of the slot, as `Passes` has it.

        A token of the slot is read, and it is what is predicted there: the loss depends on it in both ways.
        """
        found = []
        for group in self._groups(units):
            ids = self._tails(group)
            length = group[0].prepared.slot.length
            start = 0 if self._shares else len(group[0].prepared.slot.prefix)
            with torch.enable_grad():
                embeddings = self._embedding(ids).detach().requires_grad_(True)
                hidden = self._hidden(group, 1, inputs_embeds=embeddings)
                (gradient,) = torch.autograd.grad(self._losses(hidden, ids).sum(), embeddings)
            self._count(len(group), ids.shape[1], ids.shape[1], passes=2)
            with torch.inference_mode():
                values = self._one_hot_gradient(gradient[:, start : start + length])
                before = hidden[:, max(0, start - 1) : start + length - 1]
                predicted = self._logits(before).log_softmax(-1).neg()[..., self._attack_ids]
                values[:, length - before.shape[1] :] += predicted
                for unit, own in zip(group, values, strict=True):
                    first = _read(unit).next_losses
                    if first is not None:
                        own[0] += first[self._attack_ids]
                    found.append(own / _counted(unit))
        return torch.stack(found)

    def _groups(self, units: Sequence[Unit]) -> Iterator[Sequence[Unit]]:
        """Units that run together: on their full texts only one, as those of several differ in length."""
        return iter([units]) if self._shares else ([unit] for unit in units)

    def _tails(self, units: Sequence[Unit]) -> Tensor:
        """What is run of every candidate: (units * rows, tail) token ids."""
        return self._ids(
            [*(() if self._shares else unit.prepared.slot.prefix), *string, *unit.prepared.slot.suffix]
            for unit in units
            for string in unit.strings.tolist()
        )

    def _hidden(self, units: Sequence[Unit], rows: int, **inputs: Tensor) -> Tensor:
        """The last layer at the tails given as input_ids or inputs_embeds: (units * rows, tail, width)."""
        model = self.victim.model
        batch, tail = next(iter(inputs.values())).shape[:2]
        before = [len(unit.prepared.slot.prefix) if self._shares else 0 for unit in units]
        self._count(batch, tail, sum(before) // len(units) + tail)
        if not self._shares:
            return model.base_model(**inputs, use_cache=False).last_hidden_state
        starts = sent(before, self.victim.device)
        positions = starts.repeat_interleave(rows)[:, None] + torch.arange(tail, device=self.victim.device)
        with SharedPrefixAttention.stack([[unit.prepared.keys_values or []] for unit in units])(model):
            return model.base_model(**inputs, position_ids=positions, use_cache=False).last_hidden_state

    def _logits(self, hidden: Tensor) -> Tensor:
        return self._predict(hidden).float().to(self.victim.device)

    def _losses(self, hidden: Tensor, ids: Tensor) -> Tensor:
        """Losses of all tokens but the first of each row: (rows, tokens) -> (rows, tokens - 1) float32."""
        before, after = hidden[:, :-1].flatten(0, 1), ids[:, 1:].flatten()
        size = max(1, AT_ONCE // self._predict.out_features)
        parts = [
            nn.functional.cross_entropy(self._logits(some), targets, reduction="none")
            for some, targets in zip(before.split(size), after.split(size), strict=True)
        ]
        return torch.cat(parts).view(len(ids), -1) if parts else hidden.new_zeros(len(ids), 0)

    def _is_whole_head(self, head: nn.Module) -> bool:
        """Whether the model's logits are its head's, with nothing done to them."""
        ids = self._ids([self._attack_ids[:16].tolist()])
        with torch.inference_mode():
            logits = self.victim.model(input_ids=ids).logits
            ours = head(self.victim.model.base_model(input_ids=ids).last_hidden_state)
        return agree(ours.to(logits.device), logits, self.victim)

    def _sharing_agrees(self) -> bool:
        """Whether candidates behind a shared prefix have the losses that their full texts have."""
        found = []
        for self._shares in (True, False):
            try:
                found.append(self.losses([Unit(self.prepare(slot), strings) for slot, strings in trial(self.victim)]))
            except MODELS_DIFFER:
                if not self._shares:
                    raise
                return False
        return agree(found[0], found[1], self.victim)


def _read(unit: Unit) -> ReadPrefix:
    assert isinstance(unit.prepared, ReadPrefix)
    return unit.prepared


def _counted(unit: Unit) -> int:
    """Tokens of a candidate's text that have a loss."""
    slot = unit.prepared.slot
    return max(1, len(slot.prefix) + unit.strings.shape[1] + len(slot.suffix) - 1)
