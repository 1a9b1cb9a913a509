"""What the health checks measure of a victim, and the thresholds from which on it is a flag.

Answers are compared by their margins, the difference of the two logits, in units of the victim's own typical margin: a
victim gains nothing by logits that are tiny, huge or shifted.
"""

from dataclasses import dataclass

import numpy as np

from .flags import BATCH_DEPENDENT, LENGTH_DEPENDENT, NON_DETERMINISTIC, NON_FINITE_GRADIENT, VANISHING_GRADIENT

REPEATED = 1e-4
"""Difference between answers to the same text, in typical margins, from which on a victim is not deterministic. On one
machine and in one thread the same operations give the same digits, so a sound victim shows 0.
"""
BATCHED = 1e-3
"""The same between a text alone and in a batch. Rounding in another order shows in the sixth digit, and in deep models
in the fifth; another text in the first.
"""
RESOLVED = 1e-7
"""What float32 resolves, in typical margins. Where a gradient promises less for the best swap of one token, then, were
it right, candidates would be compared by rounding; answers to different texts that lie closer are one and the same.
"""


@dataclass(frozen=True)
class Readings:
    """What was measured, in typical margins; None where it was not, because memory did not suffice for instance.

    repeated: largest difference between answers to the same text. batched: largest between a text alone and in a batch.
    promises: per example that is answered rightly, the fall of the loss that the gradient promises for one swap of a
    token; nan where it is not finite. Without any where none was answered rightly.
    closest: smallest difference between the answers to two texts. long_spread: largest between two long ones.
    refuses_long: whether a long text gets no answer, or one that is no number.
    """

    repeated: float | None = None
    batched: float | None = None
    promises: tuple[float, ...] | None = None
    closest: float | None = None
    long_spread: float | None = None
    refuses_long: bool = False

    @property
    def flags(self) -> list[str]:
        """The flags that these raise, by name in alphabetic order."""
        promises = np.array(self.promises or ())
        finite = promises[np.isfinite(promises)]
        raised = {
            NON_DETERMINISTIC: self.repeated is not None and self.repeated > REPEATED,
            BATCH_DEPENDENT: self.batched is not None and self.batched > BATCHED,
            LENGTH_DEPENDENT: self.refuses_long or self._one_answer_to_long,
            VANISHING_GRADIENT: bool((finite <= RESOLVED).sum() > len(finite) / 2),
            NON_FINITE_GRADIENT: len(finite) < len(promises),
        }
        return sorted(name for name in raised if raised[name])

    @property
    def _one_answer_to_long(self) -> bool:
        """Whether long texts all get one answer, where other texts do not, as they may by rounding."""
        if self.long_spread is None or self.closest is None:
            return False
        return self.long_spread <= RESOLVED < self.closest
