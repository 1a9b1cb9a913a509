"""Trends and how sure they are: slopes with bootstrap intervals, rank correlation, and how often more is better.

Slopes are fitted by statsmodels. Their 95 % intervals are the 2.5th and 97.5th percentile of 2,000 bootstrap samples,
drawn over models (or over sizes, each with all its stages), since what scatters here is which model was trained, not
which example was asked. Samples are drawn with a fixed seed, so that the same data give the same interval. A sample in
which no slope is defined (one size alone) does not count.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import statsmodels.api as sm
from scipy import stats
from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

SAMPLES = 2_000
_SEED = 20_240_718
_FEWEST_GROUPS = 3
_STEPS = 30
"""Newton steps per sample; a slope that has not settled by then is one that runs off to infinity."""
_MOST_LOGIT = 30.0
_STEEPEST = 20.0
"""Slopes per tenfold beyond which they are written as infinite: in such a sample one size lost all, another nothing."""


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def text(self) -> str:
        return f"{signed(self.value)} [{signed(self.low)}, {signed(self.high)}]"


@dataclass(frozen=True)
class Line:
    """y = intercept + slope x. points: how many it was fitted to."""

    slope: Estimate
    intercept: float
    points: int

    def at(self, x: float) -> float:
        return self.intercept + self.slope.value * x


@dataclass(frozen=True)
class Parallels:
    """One slope, and an intercept for each group. points: in all groups that went in."""

    slope: Estimate
    intercepts: tuple[tuple[int, float], ...]
    points: int


def logit(share: float) -> float:
    """The log odds of a share strictly between 0 and 1."""
    return float(np.log(share / (1 - share)))


def share_of(log_odds: float) -> float:
    return float(1 / (1 + np.exp(-log_odds)))


def logistic_line(x: Sequence[float], successes: Sequence[int], totals: Sequence[int]) -> Line | None:
    """logit(share) against x: a binomial regression, every model weighing as many examples as it was asked.

    None where there is no slope: fewer than two different x, or all or none succeeded everywhere.
    """
    held, asked = np.array(successes, dtype=float), np.array(totals, dtype=float)
    if len(set(x)) < 2 or held.sum() in (0, asked.sum()):
        return None
    # Centred, for the arithmetic; the slope is the same.
    centre = float(np.mean(x))
    away = np.array(x, dtype=float) - centre
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PerfectSeparationWarning)
        fitted = sm.GLM(np.column_stack([held, asked - held]), sm.add_constant(away), sm.families.Binomial()).fit()
    intercept, slope = (float(value) for value in fitted.params)
    samples = logistic_slopes(away, held, asked, _resampled(len(away)))
    return Line(_estimate(slope, samples), intercept - slope * centre, len(away))


def logistic_slopes(x: np.ndarray, successes: np.ndarray, totals: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Slopes of many weighted binomial regressions at once, by Newton's method; nan where there is none.

    x, successes, totals: (points,). weights: (samples, points), how often each point was drawn. Returns (samples,).
    """
    varied = _spread(x, weights)
    held, asked = weights * successes, weights * totals
    total = asked.sum(axis=1)
    # From the common share, with half an example of either outcome added.
    intercept = np.log((held.sum(axis=1) + 0.5) / (total - held.sum(axis=1) + 0.5))
    slope = np.zeros(len(weights))
    for _ in range(_STEPS):
        logits = np.clip(intercept[:, None] + slope[:, None] * x, -_MOST_LOGIT, _MOST_LOGIT)
        share = 1 / (1 + np.exp(-logits))
        rest, weight = held - asked * share, asked * share * (1 - share)
        gradient = rest.sum(axis=1), (rest * x).sum(axis=1)
        a, b, c = weight.sum(axis=1), (weight * x).sum(axis=1), (weight * x * x).sum(axis=1)
        determinant = np.maximum(a * c - b * b, 1e-12)
        intercept = intercept + np.clip((c * gradient[0] - b * gradient[1]) / determinant, -5, 5)
        slope = slope + np.clip((a * gradient[1] - b * gradient[0]) / determinant, -5, 5)
    return np.where(varied, slope, np.nan)


def straight_line(x: Sequence[float], y: Sequence[float]) -> Line | None:
    """y against x by least squares, resampled over points; None with fewer than two different x."""
    if len(set(x)) < 2:
        return None
    places, values = np.array(x, dtype=float), np.array(y, dtype=float)
    intercept, slope = (float(value) for value in sm.OLS(values, sm.add_constant(places)).fit().params)
    weights = _resampled(len(places))
    total = weights.sum(axis=1)
    away = places - (weights @ places / total)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        samples = (weights * away * values).sum(axis=1) / (weights * away * away).sum(axis=1)
    samples[~_spread(places, weights)] = np.nan
    return Line(_estimate(slope, samples), intercept, len(places))


def parallel_lines(x: Sequence[float], y: Sequence[float], groups: Sequence[int]) -> Parallels | None:
    """y against x by least squares with one slope and an intercept per group, resampled over whole groups.

    Groups of one point, or of one x, say nothing about the slope and are left out; None with fewer than three others,
    which have no interval to speak of.
    """
    inside = {group: {a for a, of in zip(x, groups, strict=True) if of == group} for group in groups}
    usable = [group for group in sorted(inside) if len(inside[group]) > 1]
    kept = [place for place, group in enumerate(groups) if group in usable]
    if len(usable) < _FEWEST_GROUPS:
        return None
    members = np.array([[groups[place] == group for group in usable] for place in kept], dtype=float)
    places, values = np.array([x[place] for place in kept]), np.array([y[place] for place in kept])
    fitted = sm.OLS(values, np.column_stack([members, places])).fit().params
    # With an intercept of its own, a group enters by how it scatters around its mean.
    away = places - members @ ((members.T @ places) / members.sum(axis=0))
    shared, squares = members.T @ (away * values), members.T @ (away * away)
    weights = _resampled(len(usable))
    samples = (weights @ shared) / (weights @ squares)
    intercepts = tuple(zip(usable, (float(value) for value in fitted[:-1]), strict=True))
    return Parallels(_estimate(float(fitted[-1]), samples), intercepts, len(kept))


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Spearman's; None where either is constant."""
    if len(set(x)) < 2 or len(set(y)) < 2:
        return None
    return float(np.asarray(stats.spearmanr(x, y))[0])


def rises(x: Sequence[float], y: Sequence[float]) -> tuple[int, int]:
    """In how many neighbouring pairs of different x the larger has the larger y, and how many pairs there are."""
    pairs = [(one, other) for one, other in pairwise(sorted(zip(x, y, strict=True))) if one[0] < other[0]]
    return sum(other[1] > one[1] for one, other in pairs), len(pairs)


def signed(value: float) -> str:
    """A slope, with a real minus. Beyond what data of a few hundred examples can tell it only has a sign."""
    if abs(value) > _STEEPEST:
        return "∞" if value > 0 else "−∞"
    return f"{value:+.2f}".replace("-", "−").replace("−0.00", "0.00").replace("+0.00", "0.00")


def _resampled(points: int) -> np.ndarray:
    """How often each point is in each bootstrap sample, (SAMPLES, points) int."""
    return np.random.default_rng(_SEED).multinomial(points, np.full(points, 1 / points), size=SAMPLES)


def _spread(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Which samples hold more than one value of x."""
    drawn = weights > 0
    high = np.where(drawn, x, -np.inf).max(axis=1)
    low = np.where(drawn, x, np.inf).min(axis=1)
    return high > low


def _estimate(value: float, samples: np.ndarray) -> Estimate:
    low, high = np.nanpercentile(samples, [2.5, 97.5])
    return Estimate(value, float(low), float(high))
