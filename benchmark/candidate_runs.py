"""Candidates of many examples through one way of running a victim, in batches of equal shape."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from .batch import BatchSize
from .pass_base import Passes, Prepared, Stem, Unit
from .slot import Slot
from .stems import Piece, cut, power_of_two

WIDEST = 256
"""Candidates of one example in a batch, at most, where they begin with nothing in common."""

Item = TypeVar("Item")


@dataclass
class Ready:
    """An example made ready for one way of running. stems: of the strings `begun` (stems, tokens), if they were run."""

    prepared: Prepared
    begun: np.ndarray | None = None
    stems: list[Stem] | None = None


@dataclass(frozen=True)
class Asked:
    """Candidates of one example: strings (n, length). beginnings: (stems, tokens) strings that they may begin like."""

    ready: Ready
    strings: np.ndarray
    beginnings: np.ndarray | None = None


class CandidateRuns:
    """passes: how the victim is run. batch: how many sequences at once."""

    def __init__(self, passes: Passes, batch: BatchSize) -> None:
        self.passes = passes
        self._batch = batch

    def prepare(self, slot: Slot) -> Ready:
        return Ready(self.passes.prepare(slot))

    def logits(self, asked: Sequence[Asked]) -> list[np.ndarray]:
        """Per example (n, 2) float32."""
        logits = [np.zeros((len(each.strings), 2), dtype=np.float32) for each in asked]
        self._run_beginnings(asked)
        # Pieces of the same width, filled up to a power of two, and as many tokens to run share batches.
        pieces: dict[tuple[int, int, int], list[tuple[int, Piece]]] = {}
        for i, each in enumerate(asked):
            for piece in self._cut(each):
                key = (min(self._batch.rows, power_of_two(len(piece.rows))), each.strings.shape[1], piece.shared)
                pieces.setdefault(key, []).append((i, piece))
        scored: list[Tensor] = []
        batched: list[tuple[int, Piece, int]] = []
        for (width, length, shared), alike in pieces.items():
            # The batch may have become smaller since the pieces were cut.
            for batch in batches(alike, lambda item: _slot(asked[item[0]]), max(1, self._batch.rows // width)):
                units = [_unit(asked[i], piece, width) for i, piece in batch]
                with self._batch.timed(len(batch) * width, length - shared + len(units[0].prepared.slot.suffix)):
                    scored.append(self.passes.logits(units).flatten(0, 1))
                batched += [(i, piece, width) for i, piece in batch]
        # All at once: a card is waited for when it has been given everything.
        found, start = torch.cat(scored).cpu().numpy() if scored else np.empty((0, 2)), 0
        for i, piece, width in batched:
            logits[i][piece.rows] = found[start : start + len(piece.rows)]
            start += width
        return logits

    def _run_beginnings(self, asked: Sequence[Asked]) -> None:
        """Stems for all whose candidates may begin like strings that have not been run."""
        lacking: dict[tuple[int, ...], list[tuple[Ready, np.ndarray]]] = {}
        for each in asked:
            strings, ready = each.beginnings, each.ready
            if strings is None or (ready.begun is not None and np.array_equal(strings, ready.begun)):
                continue
            ready.begun, ready.stems = strings, None
            if strings.size:
                lacking.setdefault(strings.shape, []).append((ready, strings))
        for (count, _), alike in lacking.items():
            for batch in batches(alike, lambda item: item[0].prepared.slot, max(1, self._batch.rows // count)):
                stems = self.passes.stems([Unit(ready.prepared, strings) for ready, strings in batch])
                if stems is not None:
                    for place, (ready, _) in enumerate(batch):
                        ready.stems = stems[place * count : (place + 1) * count]

    def _cut(self, asked: Asked) -> Iterator[Piece]:
        """Candidates in pieces that run together."""
        count = len(asked.strings)
        if asked.beginnings is not None and asked.ready.stems is not None:
            return cut(asked.strings, asked.beginnings, self._batch.rows)
        width = min(self._batch.rows, WIDEST, power_of_two(count))
        rows = np.arange(count)
        return (Piece(rows[start : start + width]) for start in range(0, count, width))


def batches(items: Sequence[Item], slot_of: Callable[[Item], Slot], size: int) -> Iterator[list[Item]]:
    """Batches of items whose slots are followed by equally many tokens and preceded by about as many."""
    groups: dict[int, list[Item]] = {}
    for item in sorted(items, key=lambda item: len(slot_of(item).prefix)):
        groups.setdefault(len(slot_of(item).suffix), []).append(item)
    for group in groups.values():
        for start in range(0, len(group), size):
            yield group[start : start + size]


def _slot(asked: Asked) -> Slot:
    return asked.ready.prepared.slot


def _unit(asked: Asked, piece: Piece, width: int) -> Unit:
    """A piece with its rows repeated up to `width`, so that all pieces of a batch have one shape."""
    rows = np.resize(piece.rows, width) if len(piece.rows) < width else piece.rows
    stem = asked.ready.stems[piece.stem] if asked.ready.stems and piece.shared else None
    return Unit(asked.ready.prepared, asked.strings[rows], stem, piece.shared)
