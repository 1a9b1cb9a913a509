"""Candidates are looked over in bfloat16, and those that could matter are run again in float32.

Processors with matrix instructions for bfloat16 multiply several times faster in it. What an iteration decides is
which candidates are the best, and whether one breaks the example: for most candidates it is plain from a rough look
that they are neither. Of the others the most promising are run again, so that what is decided is decided by float32.
How far apart a rough margin and a true one are is measured on those that are run again, throughout.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from .batch import BatchSize
from .candidate_runs import Asked, CandidateRuns, Ready
from .pass_base import Passes, linear_weights
from .passes import SharedPrefix, passes_for
from .slot import Slot
from .victim import Victim

FAR = 4.0
"""A rough margin is taken to be within so many standard deviations of the true one."""
FEWEST = 32
"""Candidates run both ways before that deviation is trusted."""
MOST = 8
"""Candidates of an iteration that are run again, or twice as many as are kept, where that is more; then only those
that would be kept."""
REMEMBERED = 64
"""Of an example's candidates that were run both ways, about so many of the last count in their mean difference."""
LOOKED_OVER = "looked over in bfloat16"
"""What results say of such a run."""
LIGHTEST = 1_000_000
"""Weights that a token is multiplied with, below which matrix products are too small a part of the work to make up for
running some candidates again.
"""


@dataclass(frozen=True)
class Bar:
    """What the candidates of an iteration are measured by.

    label: the example's. kept: how many of the best are kept, at least 1. best: the margin that they have to beat for
    that. boundary: differences in margin, relative to 1 + the size of the logits, that rounding in float32 could turn
    around.
    """

    label: int
    kept: int
    best: float
    boundary: float


@dataclass
class Lookover:
    """An example made ready for both ways of running. rough: None where there is only one.

    offset: mean difference of rough margins from true ones, over the `compared` that were run both ways.
    """

    exact: Ready
    rough: Ready | None = None
    offset: float = 0.0
    compared: int = 0


class Scorer:
    """Logits of candidates, in float32 where they decide something.

    passes: the victim's own. rough: those of its copy in bfloat16; None where all candidates are run in full.
    """

    def __init__(self, passes: Passes, rough: Passes | None, batch: BatchSize) -> None:
        self._exact = CandidateRuns(passes, batch)
        self._rough = None if rough is None else CandidateRuns(rough, batch)
        self._squares = 0.0
        self._compared = 0

    @property
    def name(self) -> str:
        return self._exact.passes.name + ("" if self._rough is None else f", {LOOKED_OVER}")

    @property
    def looks_over(self) -> bool:
        return self._rough is not None

    @property
    def executed(self) -> float:
        """FLOP really executed so far."""
        return self._exact.passes.executed + (0.0 if self._rough is None else self._rough.passes.executed)

    def prepare(self, slot: Slot) -> Lookover:
        return Lookover(self._exact.prepare(slot), None if self._rough is None else self._rough.prepare(slot))

    def logits(
        self,
        ready: Sequence[Lookover],
        strings: Sequence[np.ndarray],
        beginnings: Sequence[np.ndarray | None],
        bars: Sequence[Bar],
    ) -> list[np.ndarray]:
        """Per example (n, 2) float32: exact for the candidates that are kept or may break the example, and for the
        others as near as a rough look can tell.

        strings: per example (n, length). beginnings: per example the strings that they may begin like.
        """
        if self._rough is None:
            return self._exact.logits(
                [Asked(both.exact, rows, begun) for both, rows, begun in zip(ready, strings, beginnings, strict=True)]
            )
        logits = self._rough.logits(
            [
                Asked(both.rough, rows, begun)
                for both, rows, begun in zip(ready, strings, beginnings, strict=True)
                if both.rough
            ]
        )
        known = [np.zeros(len(rows), dtype=bool) for rows in strings]
        while True:
            wanted = [self._doubtful(*each) for each in zip(ready, logits, known, bars, strict=True)]
            chosen = [i for i, rows in enumerate(wanted) if len(rows)]
            if not chosen:
                return [_corrected(*each) for each in zip(ready, logits, known, strict=True)]
            again = self._exact.logits([Asked(ready[i].exact, strings[i][wanted[i]]) for i in chosen])
            for i, found in zip(chosen, again, strict=True):
                self._compare(ready[i], logits[i][wanted[i]], found)
                logits[i][wanted[i]] = found
                known[i][wanted[i]] = True

    def _doubtful(self, ready: Lookover, logits: np.ndarray, known: np.ndarray, bar: Bar) -> np.ndarray:
        """Candidates that have to be run again before anything can be decided."""
        sign = 1 if bar.label else -1
        sizes = 1 + np.abs(logits).max(axis=1, initial=0.0)
        moved = _corrected(ready, logits, known)
        margins = sign * (moved[:, 1] - moved[:, 0])
        allowed = max(MOST, 2 * bar.kept) - int(known.sum())
        if allowed <= 0:
            # However many there were: what is kept is known.
            kept = np.argsort(margins, kind="stable")[: bar.kept]
            return kept[~known[kept] & (margins[kept] <= bar.best + 2 * bar.boundary * sizes[kept])]
        unknown = np.flatnonzero(~known)
        first = unknown[np.argsort(margins[unknown], kind="stable")[:allowed]]
        if self._compared < FEWEST or not ready.compared:
            return first
        far = FAR * (self._squares / self._compared) ** 0.5 * sizes
        lowest = margins - far
        to_beat = bar.best
        if bar.kept < len(margins):
            # At least so many are no higher than this, and whatever is surely above it is not kept.
            highest = np.where(known, margins, margins + far)
            to_beat = min(to_beat, np.partition(highest, bar.kept - 1)[bar.kept - 1])
        return first[lowest[first] <= np.maximum(bar.boundary * sizes, to_beat + 2 * bar.boundary * sizes)[first]]

    def _compare(self, ready: Lookover, rough: np.ndarray, exact: np.ndarray) -> None:
        sizes = 1 + np.abs(exact).max(axis=1)
        found = ((rough[:, 1] - rough[:, 0]) - (exact[:, 1] - exact[:, 0])) / sizes
        found = found[np.isfinite(found)]
        if len(found):
            ready.compared += len(found)
            before = ready.offset
            ready.offset += float((found - before).sum()) / min(ready.compared, REMEMBERED)
            self._squares += float(((found - ready.offset) * (found - before)).sum())
            self._compared += len(found)


def _corrected(ready: Lookover, logits: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Logits with the rough ones moved by the mean difference, so that they can be set beside the true ones."""
    moved = logits.copy()
    half = np.where(known, 0.0, ready.offset / 2 * (1 + np.abs(logits).max(axis=1, initial=0.0)))
    moved[:, 0] += half
    moved[:, 1] -= half
    return moved


def scorer_for(
    victim: Victim, passes: Passes, batch: BatchSize, *, together: int = 0, look_over: bool | None = None
) -> Scorer:
    """The scorer of a victim. together: candidates of one example that are scored at once.

    look_over: whether in bfloat16 first; by default where that is faster.
    """
    if look_over is None:
        heavy = linear_weights(victim.model.base_model) >= LIGHTEST
        look_over = has_bfloat16() and heavy and together >= 4 * MOST
    # Several checkpoints, and texts that are run in full, are left as they are.
    fits = type(victim) is Victim and victim.exact and victim.device.type == "cpu" and isinstance(passes, SharedPrefix)
    if not (look_over and fits):
        return Scorer(passes, None, batch)
    rough = passes_for(_in_bfloat16(victim))
    return Scorer(passes, rough if isinstance(rough, SharedPrefix) else None, batch)


def has_bfloat16() -> bool:
    """Whether this processor multiplies matrices in bfloat16 by instructions of its own."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def _in_bfloat16(victim: Victim) -> Victim:
    model = copy.deepcopy(victim.model)
    # Weights alone: what a model computes positions from stays as it is, and so does the head of a classifier, as
    # rounding the logits themselves would drown the differences between candidates.
    head = {id(parameter) for parameter in getattr(model, "score", nn.Module()).parameters()}
    for parameter in model.parameters():
        if id(parameter) not in head:
            parameter.data = parameter.data.to(torch.bfloat16)
    rough = replace(victim, model=model, dtype=torch.bfloat16)
    rough.vocabulary = victim.vocabulary
    return rough
