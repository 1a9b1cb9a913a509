"""An ensemble: several checkpoints, one of which answers each query, drawn at random.

A randomised victim has no one answer to a text, so it is judged over many draws, and attacked in expectation over all
of them: what an attack sees is the mean of the members' logits and of their gradients. The draws are seeded by the
text, so that a verdict is a fact about the text here too, and whoever asks again gets the same one. An attacker has to
run every member, and is charged for every one.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from transformers import PreTrainedModel

from ..tasks import CheckpointError
from .digest import digest_of_several
from .victim import Victim, common_vocabulary, parameters_of, same_tokenizer
from .vocabulary import AttackVocabulary

DRAWS = 20
"""Members drawn, with replacement, to judge one text."""


@dataclass
class Ensemble(Victim):
    """Members that share a tokenizer, a device and a precision. What a victim has one of is the first member's, except:

    parameters: of all different members together. context: the shortest. digest: over the digests of the members.
    """

    members: tuple[Victim, ...] = ()

    @staticmethod
    def of(members: Sequence[Victim], reference: str) -> "Ensemble":
        """Raises: CheckpointError when the members do not share a tokenizer."""
        first, *others = members
        for other in others:
            if not same_tokenizer(first, other):
                raise CheckpointError(
                    f"{other.reference} has another tokenizer than {first.reference}; the members of an ensemble must "
                    "share one, so that an attack string is the same tokens for each of them."
                )
        return Ensemble(
            model=first.model,
            tokenizer=first.tokenizer,
            reference=reference,
            revision=None,
            folder=first.folder,
            device=first.device,
            dtype=first.dtype,
            digest=digest_of_several("ensemble", [member.digest for member in members]),
            context=min(member.context for member in members),
            parameters=parameters_of(members),
            members=tuple(members),
        )

    def for_labels(self, labels: Sequence[str]) -> "Ensemble":
        return replace(self, members=tuple(member.for_labels(labels) for member in self.members))

    def require_labels(self) -> None:
        for member in self.members:
            member.require_labels()

    @property
    def kind(self) -> Literal["ensemble"]:
        return "ensemble"

    @property
    def architecture(self) -> str:
        return "+".join(dict.fromkeys(member.architecture for member in self.members))

    @cached_property
    def vocabulary(self) -> AttackVocabulary:
        return common_vocabulary(self.members)

    @property
    def judges(self) -> list[PreTrainedModel]:
        return [judge for member in self.members for judge in member.judges]

    def in_float32(self) -> "Ensemble":
        members = tuple(member.in_float32() for member in self.members)
        judging = replace(self, members=members, model=members[0].model, dtype=members[0].dtype)
        judging.vocabulary = self.vocabulary
        return judging

    def logits(self, text: str) -> np.ndarray:
        """The verdict on a text: the means of the drawn members' logits, the larger one with the answer of most.

        Where the draws are divided equally, the means decide. Returns (2,) float32.
        """
        drawn = draws(text, len(self.members))
        answers = {member: self.members[member].logits(text) for member in sorted(set(drawn.tolist()))}
        taken = np.stack([answers[member] for member in drawn.tolist()])
        means = taken.mean(axis=0)
        if not np.isfinite(means).all():
            return means
        ones = int((taken[:, 1] > taken[:, 0]).sum())
        answer = int(means.argmax()) if 2 * ones == DRAWS else int(2 * ones > DRAWS)
        smaller, larger = np.sort(means)
        if smaller == larger:
            larger = np.nextafter(larger, np.float32(np.inf))
        return np.array([smaller, larger] if answer else [larger, smaller], dtype=np.float32)

    @property
    def randomised(self) -> bool:
        return True

    def sought(self, text: str, label: int) -> np.ndarray:
        """The mean of all members' logits, by the public path: (2,) float32."""
        return np.stack([member.logits(text) for member in self.members]).mean(axis=0)


def draws(text: str, members: int) -> np.ndarray:
    """Which members answer a text in turn: (DRAWS,) int64, uniform, seeded by the text."""
    seed = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
    return np.random.default_rng(seed).integers(members, size=DRAWS)
