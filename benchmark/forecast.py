"""What scores would take, in time and money, on cards that are not at hand: nothing is loaded and nothing is run.

The worst case is that every example holds for its whole budget; then what an attack is charged is the same for every
victim, up to the iteration that does not fit any more. What is executed is less, as candidates share their prefix, and
how long that takes follows from rates (see `rates`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .attacks import Attack
from .iteration import dearest_iteration
from .model_shape import ModelShape
from .rates import Pace, Rates, plain_flop

USABLE = 0.8
"""Of a card's memory, for weights; the rest is for prefixes and what the passes need."""


@dataclass(frozen=True)
class Text:
    """Tokens of an example with an attack string in it. prefix: before the string; tail: the string and the rest."""

    prefix: int
    tail: int

    @property
    def tokens(self) -> int:
        return self.prefix + self.tail


@dataclass(frozen=True)
class Work:
    """One attack on a task's examples, if each holds for the whole budget.

    tokens: of a text in the mean. fitting: examples for which at least one iteration fits. candidates, canonical (FLOP
    charged) and plain (FLOP executed if candidates share nothing but their prefix): over all examples. prepared: FLOP
    of the prefixes; judged: FLOP in float32, of the clean texts and those with the best strings.
    """

    shape: ModelShape
    attack: str
    examples: int
    fitting: int
    tokens: float
    candidates: int
    canonical: float
    plain: float
    prepared: float
    judged: float

    def executed(self, rates: Rates) -> float:
        """FLOP of the candidates and their gradients."""
        return self.plain * self._pace(rates).executed

    def seconds(self, rates: Rates, spent: float = 1.0) -> float:
        """On one card, with the whole model. spent: of what may be charged; 1 if nothing breaks."""
        pace = self._pace(rates)
        attacking = self.executed(rates) / (pace.share * rates.matrix_rate) + self.candidates * pace.outside
        around = (self.prepared / rates.matrix_rate + self.judged / rates.float32_rate) / pace.share
        return spent * attacking + around

    def _pace(self, rates: Rates) -> Pace:
        return rates.pace(self.attack, self.shape.parameters, self.tokens)


def work_of(shape: ModelShape, attack: Attack, texts: Sequence[Text], budget: float) -> Work:
    """What one attack is on some examples. budget: FLOP per example."""
    costs = np.array([dearest_iteration(attack, shape.parameters, text.tokens) for text in texts], dtype=float)
    iterations = budget // costs
    candidates = iterations * attack.candidates
    plain = np.array([plain_flop(shape, attack, text.prefix, text.tail) for text in texts])
    return Work(
        shape=shape,
        attack=attack.name,
        examples=len(texts),
        fitting=int((iterations > 0).sum()),
        tokens=sum(text.tokens for text in texts) / len(texts),
        candidates=int(candidates.sum()),
        canonical=float((iterations * costs).sum()),
        plain=float((candidates * plain).sum()),
        prepared=sum(shape.prefix_flop(text.prefix) for text in texts),
        judged=sum(2 * shape.pass_flop(text.tokens) for text in texts),
    )


def cards_for(shape: ModelShape, rates: Rates) -> int:
    """Cards that hold the model in the attack's dtype and, where that is another, in the judge's float32."""
    if rates.memory is None:
        return 1
    size = shape.parameters * (4 if rates.dtype == "float32" else 2 + 4)
    return math.ceil(size / (USABLE * rates.memory))


@dataclass(frozen=True)
class Fleet:
    """Workers that share out examples, each with a whole model. cards: paid for, those that stand idle included.

    speed: of a worker, against one card; one that has several runs its layers card after card, and is no faster.
    """

    workers: int
    cards: int
    speed: float = 1.0

    @staticmethod
    def of(workers: int, gpus: float) -> "Fleet":
        """Workers with so many cards each, which may be a part of one."""
        cards = math.ceil(workers / workers_per_card(gpus)) if gpus < 1 else math.ceil(workers * gpus)
        return Fleet(workers, cards, min(1.0, gpus))

    def seconds(self, alone: float, examples: int) -> float:
        """What takes so long on one card. Examples are not divided, and the worker with the most decides."""
        return alone * math.ceil(examples / self.workers) / examples / self.speed

    def card_hours(self, seconds: float) -> float:
        return self.cards * seconds / 3600


def workers_per_card(gpus: float) -> int:
    """Workers with such a part of a card each that one card holds: a part is of one card, never of what is left of two.

    gpus: below 1.
    """
    # A tenth of a card ten times is a card.
    return int(1 / gpus + 1e-6)


def forecast(works: Sequence[Work], rates: Rates, cards: int, spent: float = 1.0) -> float | None:
    """Seconds of some attacks one after the other on so many cards; None where the model does not fit.

    All of one model. spent: see `Work.seconds`.
    """
    workers = cards // cards_for(works[0].shape, rates)
    if not workers:
        return None
    fleet = Fleet(workers, cards)
    return sum(fleet.seconds(work.seconds(rates, spent), work.examples) for work in works)
