"""Ranks: 1 + the number of entries that are significantly better, so that entries which chance could swap share one.

Every pair is tested at the tier, on the same examples where there are any (exact McNemar), else by two proportions
(Fisher's exact test; over several tasks a z-test of the mean), and Holm's method corrects over all pairs of the table.
The tests are those of `submissions.paired`, over many pairs at once: a table of 1,000 entries has half a million.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from scipy import stats

from ..submissions.family import ALPHA
from .standing import Measured, Overall, Standing


def ranks(standings: Mapping[str, Standing], tier: float, *, relative: bool = False) -> dict[str, int]:
    """The rank of each entry by slug. tier: FLOP per example, or forward passes when `relative`."""
    return ranks_among(Field(list(standings.values())), list(standings), range(len(standings)), tier, relative)


def ranks_among(
    field: "Field", slugs: Sequence[str], numbers: Sequence[int], tier: float, relative: bool
) -> dict[str, int]:
    """The same among some of a field: those with these numbers."""
    chosen = list(numbers)
    better = np.zeros(len(chosen), dtype=int)
    if len(chosen) > 1:
        p = field.pair_values(chosen, tier, relative=relative)
        values = np.array([field.sides[number].at(tier, relative=relative).value for number in chosen])
        one, other = np.triu_indices(len(chosen), k=1)
        significant = holm(p[one, other], ALPHA)
        a, b = one[significant], other[significant]
        np.add.at(better, np.where(values[a] < values[b], a, b), 1)
    return {slugs[number]: 1 + int(count) for number, count in zip(chosen, better, strict=True)}


def holm(p: np.ndarray, alpha: float) -> np.ndarray:
    """Which of many p-values Holm's step-down method rejects, (tests,) bool.

    As statsmodels' `multipletests`, without sorting: what is at most alpha / (tests left) goes, until nothing does.
    """
    rejected = np.zeros(len(p), dtype=bool)
    count = 0
    while count < len(p):
        rejected = p <= alpha / (len(p) - count)
        now = int(rejected.sum())
        if now == count:
            break
        count = now
    return rejected


def pair_values(sides: Sequence[Standing], tier: float, *, relative: bool = False) -> np.ndarray:
    """Two-sided p-values of no difference, (sides, sides) float, symmetric with ones on the diagonal."""
    return Field(sides).pair_values(range(len(sides)), tier, relative=relative)


@dataclass(frozen=True)
class _Group:
    """Entries that were asked the same examples of one part (task), shorter lists being the beginning of longer ones.

    members: (entries,) numbers in the field. counts: (entries,) examples. costs, passes: (entries, most examples), what
    each example cost in FLOP and in forward passes; nan beyond an entry's examples.
    """

    members: np.ndarray
    counts: np.ndarray
    costs: np.ndarray
    passes: np.ndarray


@dataclass(frozen=True)
class Field:
    """The entries of a table, ready to be tested against each other at many tiers."""

    sides: Sequence[Standing]

    def pair_values(self, numbers: Sequence[int], tier: float, *, relative: bool) -> np.ndarray:
        """Two-sided p-values of no difference among some, (numbers, numbers) float."""
        chosen = np.asarray(numbers, dtype=int)
        lost, common = self._lost(chosen, tier, relative)
        changed = lost + lost.T
        p = np.minimum(1.0, 2 * _binomial(np.minimum(lost, lost.T), changed))
        p[changed == 0] = 1.0
        one, other = np.nonzero(np.triu(~common, k=1))
        if len(one):
            counts = np.array([_counts(self.sides[number], tier, relative) for number in chosen])
            test = _fisher if counts.shape[1] == 1 else _mean_difference
            p[one, other] = p[other, one] = test(counts, one, other)
        np.fill_diagonal(p, 1.0)
        return p

    @cached_property
    def _groups(self) -> list[list[_Group]]:
        """By part; only of entries that have per-example results in every part."""
        measured = [_measured(side) for side in self.sides]
        parts = max((len(each) for each in measured), default=0)
        found = []
        for part in range(parts):
            by_first: dict[str, list[int]] = {}
            for number, each in enumerate(measured):
                if len(each) == parts:
                    by_first.setdefault(each[part].ids[0], []).append(number)
            found.append(
                [_group(members, [measured[number][part] for number in members]) for members in by_first.values()]
            )
        return found

    def _lost(self, chosen: np.ndarray, tier: float, relative: bool) -> tuple[np.ndarray, np.ndarray]:
        """Of examples in common, how many each (row) held and each other (column) did not, (chosen, chosen) int; and
        whether there are any, bool.
        """
        place = np.full(len(self.sides), -1)
        place[chosen] = np.arange(len(chosen))
        lost = np.zeros((len(chosen), len(chosen)), dtype=int)
        common = np.zeros_like(lost, dtype=bool)
        for number, groups in enumerate(self._groups):
            here = np.zeros_like(common)
            for group in groups:
                inside = np.flatnonzero(place[group.members] >= 0)
                rows = place[group.members[inside]]
                costs = (group.passes if relative else group.costs)[inside]
                counts = group.counts[inside]
                for count in np.unique(counts):
                    # A pair is compared on what the shorter of the two has.
                    enough = counts >= count
                    exactly = counts[enough] == count
                    held = (costs[enough, :count] > tier).astype(np.float32)
                    more = (held @ (1 - held).T).astype(int)
                    block = np.ix_(rows[enough], rows[enough])
                    pairs = exactly[:, None] | exactly[None, :]
                    lost[block] += np.where(pairs, more, 0)
                    here[block] |= pairs
            # Over several tasks, all of them or none.
            common = here if number == 0 else common & here
        lost[~common] = 0
        return lost, common


def _group(members: Sequence[int], measured: Sequence[Measured]) -> _Group:
    counts = np.array([each.examples for each in measured])
    costs = np.full((len(members), counts.max()), np.nan)
    for row, each in zip(costs, measured, strict=True):
        row[: each.examples] = each.costs
    units = np.array([each.unit for each in measured])
    return _Group(np.array(members), counts, costs, costs / units[:, None])


def _measured(side: Standing) -> Sequence[Measured]:
    """The per-example results that a standing rests on; none where it has any part without."""
    parts = side.parts if isinstance(side, Overall) else [side]
    found = [part for part in parts if isinstance(part, Measured)]
    return found if len(found) == len(parts) else []


def _counts(side: Standing, tier: float, relative: bool) -> list[tuple[int, int]]:
    """Holding and all examples, per task."""
    parts = side.parts if isinstance(side, Overall) else [side]
    return [(round(part.at(tier, relative=relative).value * part.examples), part.examples) for part in parts]


def _binomial(few: np.ndarray, of: np.ndarray) -> np.ndarray:
    """binom.cdf(few, of, 1/2), computed once for each pair of counts that occurs."""
    width = int(of.max()) + 1
    keys = (few * width + of).ravel()
    occurring = np.zeros(width * width, dtype=bool)
    occurring[keys] = True
    found = np.flatnonzero(occurring)
    values = np.zeros(width * width)
    values[found] = stats.binom.cdf(found // width, found % width, 0.5)
    return values[keys].reshape(few.shape)


def _fisher(counts: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Fisher's exact test, two-sided. counts: (entries, 1, 2) int, holding and all examples. one, other: (pairs,)."""
    held, total = counts[:, 0, 0], counts[:, 0, 1]
    p = np.empty(len(one))
    for first in np.unique(total[one]):
        for second in np.unique(total[other]):
            here = (total[one] == first) & (total[other] == second)
            if here.any():
                p[here] = _fisher_table(int(first), int(second))[held[one[here]], held[other[here]]]
    return p


@cache
def _fisher_table(total: int, others: int) -> np.ndarray:
    """p-values of every outcome of two groups of these sizes, (total + 1, others + 1) float.

    Outcomes that are as likely or less, up to rounding, as in scipy.stats.fisher_exact, which takes one at a time.
    """
    table = np.ones((total + 1, others + 1))
    for both in range(total + others + 1):
        held = np.arange(max(0, both - others), min(total, both) + 1)
        chances = stats.hypergeom.pmf(held, total + others, both, total)
        order = np.argsort(chances)
        last = np.searchsorted(chances[order], chances * (1 + 1e-7), side="right") - 1
        table[held, both - held] = np.minimum(1.0, np.cumsum(chances[order])[last])
    return table


def _mean_difference(counts: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """A z-test of the mean over tasks, two-sided. counts: (entries, tasks, 2) int. one, other: (pairs,)."""
    held, total = counts[..., 0], counts[..., 1]
    share = (held / total).sum(axis=1)
    # One example is added to either side, so that shares of 0 and 1 keep a variance.
    variance = ((held + 1) * (total - held + 1) / (total + 2) ** 3).sum(axis=1)
    return 2 * stats.norm.sf(np.abs(share[one] - share[other]) / np.sqrt(variance[one] + variance[other]))
