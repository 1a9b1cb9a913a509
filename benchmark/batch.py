"""How many sequences go through the victim at once, found while working.

The size doubles for as long as that makes candidates cheaper, and halves when memory runs out. Nothing in a result
depends on it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from ..tasks import ResourceError

Made = TypeVar("Made")

WORTH_IT = 1.05
"""A larger batch has to be this much faster per sequence to be kept."""
MEASURED = 4
"""Full batches timed at a size before it is judged."""


class BatchSize:
    """rows: sequences per forward pass; fixed when given, otherwise searched from a start that suits the device."""

    def __init__(self, fixed: int | None, device: torch.device) -> None:
        self.rows = fixed or (1024 if device.type == "cuda" else 128)
        self._largest = self.rows if fixed else (1 << 16 if device.type == "cuda" else 2048)
        self._growing = fixed is None
        self._best_rate = 0.0
        self._times: list[float] = []
        self._device = device

    @property
    def next_rows(self) -> int:
        """The size that may be tried next; work for that many should be at hand."""
        return min(2 * self.rows, self._largest) if self._growing else self.rows

    @contextmanager
    def timed(self, rows: int, tokens: int) -> Iterator[None]:
        """Time one forward pass over `tokens` of each row; grow or settle once enough full batches have been seen."""
        if not self._growing or rows < self.rows:
            # A card is not waited for: it gets the next batch while it is at work on this one.
            yield
            return
        self._wait()
        started = time.perf_counter()
        yield
        self._wait()
        self._times.append((time.perf_counter() - started) / tokens)
        if len(self._times) <= MEASURED:
            return
        # The first pass of a size also pays for allocations.
        rate = self.rows / sorted(self._times[1:])[len(self._times[1:]) // 2]
        self._times.clear()
        if rate < WORTH_IT * self._best_rate:
            self.rows //= 2
            self._growing = False
        elif self.rows >= self._largest:
            self._growing = False
        else:
            self._best_rate = rate
            self.rows *= 2

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def fitting(self, work: Callable[[], Made]) -> Made:
        """Do work on the model, again with smaller batches when memory runs out. Raises: ResourceError."""
        while True:
            try:
                return work()
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                self.shrink(error)

    def shrink(self, error: BaseException) -> None:
        """Halve after running out of memory. Raises: ResourceError when a single sequence does not fit."""
        if self.rows == 1:
            raise out_of_memory_on(self._device) from error
        self.rows = max(1, self.rows // 2)
        self._growing = False
        self._times.clear()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def out_of_memory(error: RuntimeError) -> bool:
    """Whether an error of PyTorch's means that memory ran out, on a card or in the host's allocator."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


@contextmanager
def one_sequence_on(device: torch.device) -> Iterator[None]:
    """Work over a single sequence, for which smaller batches would make no room. Raises: ResourceError."""
    try:
        yield
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        raise out_of_memory_on(device) from error


def out_of_memory_on(device: torch.device) -> ResourceError:
    """The error for a single sequence that does not fit."""
    return ResourceError(
        f"The victim runs out of memory on {device} with a single sequence; use a smaller dtype (--dtype), another "
        "device (--device), or a machine with more memory."
    )
