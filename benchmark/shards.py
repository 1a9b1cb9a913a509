"""Dealing out the examples of a run among workers, a shard at a time: the longest examples first, as an engine takes
them, and to whoever has nothing to do.

At first shards are large, so that an engine's lockstep is full; towards the end they are small, so that no worker is
idle while another has many left [guided self-scheduling, Polychronopoulos and Kuck 1987].
"""

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ..tasks import Example


@dataclass(frozen=True)
class Shard:
    """Examples for one worker. lost: workers in a row that were lost before they had finished any of them."""

    examples: tuple[Example, ...]
    lost: int = 0


class Shards:
    """What is left to hand out. workers: how many ask for it. full: examples that fill an engine's lockstep."""

    def __init__(self, examples: Sequence[Example], workers: int, full: int) -> None:
        self._waiting = deque(sorted(examples, key=lambda example: (-len(example.text()), example.id)))
        self._returned: deque[Shard] = deque()
        self._workers = workers
        self._full = full

    def take(self) -> Shard | None:
        """The next shard; None when all are handed out."""
        if self._returned:
            return self._returned.popleft()
        size = shard_size(len(self._waiting), self._workers, self._full)
        return Shard(tuple(self._waiting.popleft() for _ in range(size))) if size else None

    def give_back(self, shard: Shard, finished: Collection[str]) -> Shard | None:
        """Take back what a lost worker has not finished, to be handed out first. finished: ids of examples.

        Returns it; None when nothing is left of it.
        """
        left = tuple(example for example in shard.examples if example.id not in finished)
        if not left:
            return None
        again = Shard(left, shard.lost + 1 if len(left) == len(shard.examples) else 0)
        self._returned.append(again)
        return again


def shard_size(left: int, workers: int, full: int) -> int:
    """Examples in the next shard: half a fair share of those left, or a full lockstep; at most that share."""
    share = -(-left // workers)
    return min(share, max(full, -(-share // 2)))
