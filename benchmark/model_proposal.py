"""A language model as the proposal: next tokens as likely as it finds them, without any being drawn twice.

The model reads the text up to the place of the next token. What stands before the slot is read once per example, and
the strings of a beam attend to its keys and values (see `shared_prefix`), where that gives what the full text gives.
Probabilities are in fp32, on one CPU thread, for the strings of one example at a time, and so do not depend on what
else is attacked.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ..tasks import CheckpointError
from .attacks import Attack, is_guided, with_proposal
from .pass_base import MODELS_DIFFER, PassesBase, Prepared, agree
from .shared_prefix import KeysValues, SharedPrefixAttention
from .slot import Slot
from .victim import Victim, embedding_table, one_thread_on_cpu, same_tokenizer

Place = TypeVar("Place")


@dataclass
class ReadBefore(Prepared):
    """An example whose text before the slot has been read.

    before: its last tokens, as many as leave room for a string in the model's context. first: (attack vocabulary,)
    log-probabilities of the token behind them.
    """

    before: tuple[int, ...] = ()
    first: np.ndarray | None = None


class ModelProposal(PassesBase):
    """A causal language model that proposes tokens for a victim with the same tokenizer.

    Raises: CheckpointError when the model is no language model, or does not fit the victim.
    """

    name = "language model"

    def __init__(self, model: Victim, victim: Victim) -> None:
        if not model.causal:
            raise CheckpointError(
                f"{model.reference} is a classifier, and only a causal language model can propose tokens."
            )
        if not same_tokenizer(model, victim):
            raise CheckpointError(
                f"{model.reference} has another tokenizer than {victim.reference}, so its tokens are not the victim's; "
                "choose a language model that shares the victim's tokenizer."
            )
        rows, most = len(embedding_table(model.model)), max(model.tokenizer.get_vocab().values())
        if most >= rows:
            raise CheckpointError(
                f"The tokenizer of {model.reference} writes the token {most}, but the model has only {rows} tokens; "
                "they do not belong together."
            )
        model = model.in_float32()
        super().__init__(model, victim.vocabulary.ids)
        self.digest = model.digest
        self._ids_written = victim.vocabulary.ids
        self._last = "logits_to_keep" in inspect.signature(model.model.forward).parameters
        self._shares = SharedPrefixAttention.fits(model.model) and self._sharing_agrees()
        self.executed = 0.0

    def prepare(self, slot: Slot) -> ReadBefore:
        room = max(1, self.victim.context - slot.length)
        before = slot.prefix[-room:] or (self._start(),)
        with one_thread_on_cpu(self.victim.device):
            keys_values, logits = self._read(before)
        return ReadBefore(slot, keys_values, before=before, first=self._log_probabilities(logits)[0])

    def next_tokens(self, prepared: Prepared, strings: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
        """See `Proposal`."""
        shares = self.log_probabilities(prepared, strings)
        # The largest of logarithms with Gumbel noise are a draw without replacement [Vieira 2014; Kool et al. 2019].
        noisy = shares + rng.gumbel(size=shares.shape)
        return self._ids_written[np.argsort(-noisy, axis=1, kind="stable")[:, :count]]

    def log_probabilities(self, prepared: Prepared, strings: np.ndarray) -> np.ndarray:
        """Of each token of the attack vocabulary behind each string: (rows, attack vocabulary) float64."""
        assert isinstance(prepared, ReadBefore)
        if strings.shape[1] == 0:
            assert prepared.first is not None
            return np.tile(prepared.first, (len(strings), 1))
        with one_thread_on_cpu(self.victim.device):
            return self._log_probabilities(self._behind(prepared.keys_values, prepared.before, strings))

    def _log_probabilities(self, logits: Tensor) -> np.ndarray:
        """(rows, tokens of the model) -> (rows, attack vocabulary), normalized over the latter."""
        written = logits[:, self._attack_ids].double().log_softmax(dim=-1).cpu().numpy()
        if not np.isfinite(written).all():
            raise CheckpointError(
                f"{self.victim.reference} gives non-finite logits, so it cannot propose tokens; its weights are "
                "damaged."
            )
        return written

    def _read(self, before: Sequence[int]) -> tuple[KeysValues | None, Tensor]:
        """Keys and values of a text, where they are shared, and the logits behind it: (1, tokens of the model)."""
        self._count(1, len(before), len(before) // 2)
        output = self._run(input_ids=self._ids([before]), use_cache=self._shares)
        if not self._shares:
            return None, output.logits[:, -1]
        return [(layer.keys, layer.values) for layer in output.past_key_values.layers], output.logits[:, -1]

    def _behind(self, keys_values: KeysValues | None, before: Sequence[int], strings: np.ndarray) -> Tensor:
        """Logits behind a text and each string of (rows, at least one token): (rows, tokens of the model) float32."""
        length = strings.shape[1]
        if keys_values is None:
            self._count(len(strings), len(before) + length, len(before) + length)
            return self._run(input_ids=self._ids([*before, *row] for row in strings.tolist()), use_cache=False).logits[
                :, -1
            ]
        self._count(len(strings), length, len(before) + length)
        places = torch.arange(len(before), len(before) + length, device=self.victim.device).expand(len(strings), -1)
        with SharedPrefixAttention.stack([[keys_values]])(self.victim.model):
            output = self._run(input_ids=self._ids(strings.tolist()), position_ids=places, use_cache=False)
        return output.logits[:, -1]

    def _run(self, **inputs: object):
        with torch.inference_mode():
            return self.victim.model(**inputs, **({"logits_to_keep": 1} if self._last else {}))

    def _sharing_agrees(self) -> bool:
        """Whether strings behind a shared text have the logits that they have with the text in full."""
        tokens = np.resize(self._ids_written[:: max(1, len(self._ids_written) // 40)], 40)
        before, strings = tokens[:20].tolist(), tokens[20:].reshape(4, 5)
        theirs = self._behind(None, before, strings)
        try:
            self._shares = True
            keys_values, _ = self._read(before)
            return agree(self._behind(keys_values, before, strings), theirs, self.victim)
        except MODELS_DIFFER:
            return False

    def _start(self) -> int:
        """The token that stands before a text where nothing else does."""
        tokenizer = self.victim.tokenizer
        for token in (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id):
            if isinstance(token, int):
                return token
        raise CheckpointError(
            f"The tokenizer of {self.victim.reference} has no token that begins a text, so nothing can be proposed "
            "where one begins with the slot; attack at another position."
        )


def guided_by(attack: Attack, model: Victim, reference: str | None = None) -> Attack:
    """The attack with a language model as its proposal. reference: what to call it, where that is not its own name.

    Raises: UsageError for an attack that uses none.
    """
    own = f"{model.reference}@{model.revision}" if model.revision else model.reference
    return with_proposal(attack, reference or own, model.digest, model.parameters)


def all_guided_by(
    attacks: Sequence[tuple[Attack, Place]], model: Victim, reference: str | None = None
) -> list[tuple[Attack, Place]]:
    """Attacks, each with its place, of which those that a language model guides are guided by this one."""
    return [(guided_by(attack, model, reference) if is_guided(attack) else attack, place) for attack, place in attacks]
