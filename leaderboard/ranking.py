"""Ranks: 1 + the number of entries that are significantly better, so that entries which chance could swap share one.

Every pair is tested at the tier, on the same examples where there are any (exact McNemar), else by two proportions
(Fisher's exact test; over several tasks a z-test of the mean), and Holm's method corrects over all pairs of the table.
The tests are those of `submissions.paired`, over many pairs at once.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests

from ..submissions.family import ALPHA
from .standing import Measured, Overall, Standing


def ranks(standings: Mapping[str, Standing], tier: float, *, relative: bool = False) -> dict[str, int]:
    """The rank of each entry by slug. tier: FLOP per example, or forward passes when `relative`."""
    slugs = list(standings)
    better = np.zeros(len(slugs), dtype=int)
    if len(slugs) > 1:
        sides = [standings[slug] for slug in slugs]
        p = pair_values(sides, tier, relative=relative)
        values = np.array([side.at(tier, relative=relative).value for side in sides])
        one, other = np.triu_indices(len(slugs), k=1)
        significant, *_ = multipletests(p[one, other], ALPHA, method="holm")
        for a, b in zip(one[significant], other[significant], strict=True):
            better[a if values[a] < values[b] else b] += 1
    return {slug: 1 + int(count) for slug, count in zip(slugs, better, strict=True)}


def pair_values(sides: Sequence[Standing], tier: float, *, relative: bool = False) -> np.ndarray:
    """Two-sided p-values of no difference, (sides, sides) float, symmetric with ones on the diagonal."""
    lost, examples = _lost(sides, tier, relative)
    changed = lost + lost.T
    p = np.minimum(1.0, 2 * _binomial(np.minimum(lost, lost.T), changed))
    p[changed == 0] = 1.0
    one, other = np.nonzero(np.triu(examples == 0, k=1))
    if len(one):
        counts = np.array([_counts(side, tier, relative) for side in sides])
        test = _fisher if counts.shape[1] == 1 else _mean_difference
        p[one, other] = p[other, one] = test(counts[one], counts[other])
    np.fill_diagonal(p, 1.0)
    return p


def _lost(sides: Sequence[Standing], tier: float, relative: bool) -> tuple[np.ndarray, np.ndarray]:
    """Of examples in common: how many each side (row) held and each other side (column) did not, and how many there
    are; both (sides, sides) int. No examples in common: 0.
    """
    lost = np.zeros((len(sides), len(sides)), dtype=int)
    examples = np.zeros_like(lost)
    measured = [_measured(side) for side in sides]
    parts = max((len(each) for each in measured), default=0)
    usable = np.array([len(each) == parts and parts > 0 for each in measured])
    for part in range(parts):
        # Entries that were asked the same examples, shorter lists being the beginning of longer ones.
        groups: dict[str, list[int]] = {}
        for number in np.flatnonzero(usable):
            groups.setdefault(measured[number][part].ids[0], []).append(int(number))
        for members in groups.values():
            for count in sorted({measured[number][part].examples for number in members}):
                inside = [number for number in members if measured[number][part].examples >= count]
                exactly = np.array([measured[number][part].examples == count for number in inside])
                held = np.array([_held(measured[number][part], tier, relative)[:count] for number in inside])
                more = held.astype(np.float32) @ (~held).astype(np.float32).T
                # A pair is compared on what the shorter of the two has.
                here = exactly[:, None] | exactly[None, :]
                rows = np.ix_(inside, inside)
                lost[rows] += np.where(here, more.astype(int), 0)
                examples[rows] += np.where(here, count, 0)
    # All tasks or none.
    lacking = examples == 0
    lost[lacking] = 0
    return lost, examples


def _measured(side: Standing) -> Sequence[Measured]:
    """The per-example results that a standing rests on; none where it has any part without."""
    parts = side.parts if isinstance(side, Overall) else [side]
    return [part for part in parts if isinstance(part, Measured)] if _all_measured(parts) else []


def _all_measured(parts: Sequence[Standing]) -> bool:
    return all(isinstance(part, Measured) for part in parts)


def _held(side: Measured, tier: float, relative: bool) -> np.ndarray:
    return side.costs > (tier * side.unit if relative else tier)


def _counts(side: Standing, tier: float, relative: bool) -> list[tuple[int, int]]:
    """Holding and all examples, per task."""
    parts = side.parts if isinstance(side, Overall) else [side]
    return [(round(part.at(tier, relative=relative).value * part.examples), part.examples) for part in parts]


def _fisher(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Fisher's exact test, two-sided, for many pairs. one, other: (pairs, 1, 2) int, holding and all examples."""
    tables, where = np.unique(np.concatenate([one[:, 0], other[:, 0]], axis=1), axis=0, return_inverse=True)
    p = np.empty(len(tables))
    for start in range(0, len(tables), 2_000):
        held, total, others_held, others_total = tables[start : start + 2_000].T[..., None]
        every = np.arange(total.max() + 1)
        chances = stats.hypergeom.pmf(every, total + others_total, held + others_held, total)
        seen = np.take_along_axis(chances, held, axis=1)
        # As likely or less, up to rounding, as in scipy.stats.fisher_exact, which takes one table at a time.
        p[start : start + 2_000] = np.where(chances <= seen * (1 + 1e-7), chances, 0.0).sum(axis=1)
    return np.minimum(1.0, p)[where.ravel()]


def _mean_difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """A z-test of the mean over tasks, two-sided. one, other: (pairs, tasks, 2) int, holding and all examples."""
    difference = (one[..., 0] / one[..., 1]).sum(axis=1) - (other[..., 0] / other[..., 1]).sum(axis=1)
    held, total = np.concatenate([one, other], axis=1).transpose(2, 0, 1)
    # One example is added to either side, so that shares of 0 and 1 keep a variance.
    variance = ((held + 1) * (total - held + 1) / (total + 2) ** 3).sum(axis=1)
    return 2 * stats.norm.sf(np.abs(difference) / np.sqrt(variance))


def _binomial(few: np.ndarray, of: np.ndarray) -> np.ndarray:
    """binom.cdf(few, of, 1/2), once for each pair of counts that occurs."""
    pairs, where = np.unique(np.stack([few.ravel(), of.ravel()]), axis=1, return_inverse=True)
    return stats.binom.cdf(pairs[0], pairs[1], 0.5)[where.ravel()].reshape(few.shape)
