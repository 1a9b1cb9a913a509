"""An ensemble: several checkpoints, one of which answers each query, drawn at random.

Such a victim has no one answer to a text, so it is judged over many draws: a string breaks an example where more than
half of the queries are answered wrongly, and a clean text is right where more than half are answered rightly. Draws in
which each member comes up equally often say the same as the members themselves, of which more than half have to agree.
Draws at random, even if the text seeds them, would not do: a search that fools one of two members goes through texts
until it has one with lucky draws. An attacker has to run every member, and is charged for every one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..tasks import CheckpointError
from .counting import moved_apart
from .digest import digest_of_several
from .victim import Victim, common_vocabulary, parameters_of, same_tokenizer
from .vocabulary import AttackVocabulary


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
        """The means of the members' logits, moved apart until the larger one is the answer of most: (2,) float32.

        Where the members are divided equally, the means decide.
        """
        found = self._answers(text)
        ones, halved = int((found[:, 1] > found[:, 0]).sum()), len(found) / 2
        means = found.mean(dim=0)
        answer = int(means.argmax()) if ones == halved else int(ones > halved)
        return as_most_say(found, torch.tensor(answer), attacked=True).numpy()

    def verdict(self, text: str, label: int, *, attacked: bool) -> np.ndarray:
        return as_most_say(self._answers(text), torch.tensor(label), attacked=attacked).numpy()

    def _answers(self, text: str) -> Tensor:
        """The members' logits: (members, 2)."""
        return torch.stack([torch.from_numpy(member.logits(text)) for member in self.members])


def as_most_say(logits: Tensor, labels: Tensor, *, attacked: bool) -> Tensor:
    """The mean of the members' logits, moved apart so that the label's is larger where an attacked text does not make
    more than half of them wrong, or where more than half of them answer a clean one rightly.

    logits: (members, ..., 2). labels: (...) int64. Returns (..., 2). The margin is that of the member that decides.
    """
    margins = ((logits[..., 1] - logits[..., 0]) * (2 * labels - 1)).sort(dim=0).values
    most = len(logits) // 2
    return moved_apart(logits.mean(dim=0), labels, margins[most] if attacked else margins[-1 - most])
