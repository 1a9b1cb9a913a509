"""Passes of an ensemble: every member is run in its own way, and most of them decide."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .ensemble import as_most_say
from .pass_base import Passes, Prepared, Stem, Unit, labels_beside, of_part, stems_of_parts
from .slot import Slot


class MostOfMembers:
    """Every member's passes, as the ensemble's verdict and its loss have them together."""

    def __init__(self, members: Sequence[Passes]) -> None:
        self._members = members
        self.name = " and ".join(dict.fromkeys(passes.name for passes in members))
        self.executed = 0.0

    def prepare(self, slot: Slot) -> Prepared:
        prepared = tuple(passes.prepare(slot) for passes in self._members)
        self._count()
        return replace(prepared[0], keys_values=None, parts=prepared)

    def stems(self, units: Sequence[Unit]) -> list[Stem] | None:
        found = stems_of_parts([passes.stems(of_part(place, units)) for place, passes in enumerate(self._members)])
        self._count()
        return found

    def logits(self, units: Sequence[Unit]) -> Tensor:
        """As `Passes` has it, and as most of the members say."""
        found = self._of_each([passes.logits(of_part(place, units)) for place, passes in enumerate(self._members)])
        return as_most_say(found, labels_beside(units, found[0, ..., 0]), attacked=True)

    def slot_gradient(self, units: Sequence[Unit]) -> Tensor:
        """Of the loss that is expected of a draw: the mean of the members' gradients."""
        found = [passes.slot_gradient(of_part(place, units)) for place, passes in enumerate(self._members)]
        return self._of_each(found).mean(dim=0)

    def _of_each(self, found: list[Tensor]) -> Tensor:
        self._count()
        return torch.stack([each.to(found[0].device) for each in found])

    def _count(self) -> None:
        self.executed = sum(passes.executed for passes in self._members)
