"""Passes of an ensemble: every member is run in its own way, and the means of what they give are taken."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .pass_base import Passes, Prepared, Stem, Unit, of_part, stems_of_parts
from .slot import Slot


class MeanOfMembers:
    """The expectation over a uniform draw of one member, exactly."""

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
        return self._mean([passes.logits(of_part(place, units)) for place, passes in enumerate(self._members)])

    def slot_gradient(self, units: Sequence[Unit]) -> Tensor:
        """The mean of the gradients of the members' losses."""
        return self._mean([passes.slot_gradient(of_part(place, units)) for place, passes in enumerate(self._members)])

    def _mean(self, found: list[Tensor]) -> Tensor:
        self._count()
        return torch.stack([each.to(found[0].device) for each in found]).mean(dim=0)

    def _count(self) -> None:
        self.executed = sum(passes.executed for passes in self._members)
