"""Passes of a model behind a filter: both are run, and what an attack sees is what counts."""

from collections.abc import Sequence

from torch import Tensor

from .filtered import Filtered, as_it_counts
from .likelihood import Likelihood
from .pass_base import Passes, Prepared, Stem, Unit, labels_beside, of_part, stems_of_parts
from .slot import Slot


class BehindFilter:
    """asked: passes of the model behind the filter, on the vocabulary of the whole."""

    def __init__(self, victim: Filtered, asked: Passes) -> None:
        self._victim = victim
        self._asked = asked
        self._likelihood = Likelihood(victim.language_model, victim.vocabulary.ids)
        self.name = f"{asked.name}, behind a filter"
        self.executed = 0.0

    def prepare(self, slot: Slot) -> Prepared:
        prepared = self._asked.prepare(slot), self._likelihood.prepare(slot)
        self._count()
        return Prepared(slot, parts=prepared)

    def stems(self, units: Sequence[Unit]) -> list[Stem] | None:
        # The filter's part reads the whole string again: every token of it has a loss.
        found = stems_of_parts([self._asked.stems(of_part(0, units)), None])
        self._count()
        return found

    def logits(self, units: Sequence[Unit]) -> Tensor:
        """As `Passes` has it, and as it counts."""
        logits = self._asked.logits(of_part(0, units))
        excess = self._victim.excess(self._likelihood.losses(of_part(1, units))).to(logits.device)
        self._count()
        return as_it_counts(logits, excess, labels_beside(units, excess), attacked=True)

    def slot_gradient(self, units: Sequence[Unit]) -> Tensor:
        """Of the sum of two losses, log(1 + exp(x)) of the margin and of the excess: each counts until it is won."""
        reading = of_part(1, units)
        weights = self._victim.excess(self._likelihood.losses(reading)).sigmoid() * self._victim.logits_per_nat
        gradient = self._asked.slot_gradient(of_part(0, units))
        gradient = gradient + (weights[:, :, None] * self._likelihood.slot_gradient(reading)).to(gradient.device)
        self._count()
        return gradient

    def _count(self) -> None:
        self.executed = self._asked.executed + self._likelihood.executed
