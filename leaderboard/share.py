"""A share as the site shows it: a value with its 95 % interval, and whether it is only a bound."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from ..benchmark.curves import Proportion
from .quantities import percent, tenths


@dataclass(frozen=True)
class Share:
    """bound: the true value may be lower than `value`, never higher; `low` is then 0."""

    value: float
    low: float
    high: float
    bound: bool = False

    @staticmethod
    def of(proportion: Proportion) -> "Share":
        return _share(proportion.successes, proportion.total, proportion.bound)

    @cached_property
    def tenths(self) -> tuple[int, int, int]:
        """Value, low and high in tenths of a percent."""
        return tenths(self.value), tenths(self.low), tenths(self.high)

    @cached_property
    def percents(self) -> tuple[float, float, float]:
        """Value, low and high in percent, as charts have them: two decimals."""
        return round(100 * self.value, 2), round(100 * self.low, 2), round(100 * self.high, 2)

    @property
    def text(self) -> str:
        """As `holdfast show` prints it, without the interval."""
        return f"{'≤ ' if self.bound else ''}{percent(self.value)}"

    @property
    def interval_text(self) -> str:
        return f"[{percent(self.low)}, {percent(self.high)}]"

    def __str__(self) -> str:
        return f"{self.text} {self.interval_text}"


@lru_cache(maxsize=100_000)
def _share(successes: int, total: int, bound: bool) -> Share:
    # A site asks for the same few thousand again and again.
    proportion = Proportion(successes, total, bound)
    low, high = proportion.interval
    return Share(proportion.value, low, high, bound)


def mean_share(shares: Sequence[Share]) -> Share:
    """The mean of independent shares; its interval is made from theirs [MOVER, Zou and Donner 2008, Stat. Med. 27]."""
    count = len(shares)
    value = sum(share.value for share in shares) / count
    below = math.sqrt(sum((share.value - share.low) ** 2 for share in shares)) / count
    above = math.sqrt(sum((share.high - share.value) ** 2 for share in shares)) / count
    bound = any(share.bound for share in shares)
    return Share(value, 0.0 if bound else max(0.0, value - below), min(1.0, value + above), bound)
