"""Where the wall time of a run goes: the model, tokenization, and the rest."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Adds up seconds per section; `rest` is what no section claims."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._sections: dict[str, float] = {"model": 0.0, "tokenization": 0.0}

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Time a block. Sections do not nest."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._sections[name] += time.perf_counter() - started

    def seconds(self) -> dict[str, float]:
        """Seconds since the start, by section: model, tokenization, rest."""
        rest = time.perf_counter() - self._started - sum(self._sections.values())
        return {**self._sections, "rest": rest}
