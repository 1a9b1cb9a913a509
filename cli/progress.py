"""The progress display of a score: examples done, broken so far, rate and time left. Silent where there is no
terminal.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from ..benchmark import Progress as Standing
from .terminal import err


class _Rate(ProgressColumn):
    """Candidates per second, over the run so far."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.fields['rate']:>9,.0f} strings/s")


@contextmanager
def shown(title: str) -> Iterator["Display"]:
    """Show a bar while the block runs; it disappears afterwards."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[done]}/{task.fields[total_examples]} done, {task.fields[broken]} broken"),
        _Rate(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("left"),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal, speed_estimate_period=60) as bars:
        task = bars.add_task(title, total=1.0, done=0, total_examples="?", broken=0, rate=0.0)
        yield Display(bars, task)


class Display:
    """Takes the engine's reports."""

    def __init__(self, bars: Progress, task: TaskID) -> None:
        self._bars = bars
        self._task = task
        self._started = time.perf_counter()

    def __call__(self, now: Standing) -> None:
        self._bars.update(
            self._task,
            completed=now.spent,
            done=now.done,
            total_examples=now.total,
            broken=now.broken,
            rate=now.candidates / max(1e-9, time.perf_counter() - self._started),
        )
