"""Checking an entry that a stranger sent: a file that lies about its size ends the process it is read in, not ours."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .bounded import Limits, StoppedError, bounded
from .check import check_entry
from .manifest import Problem

LIMITS = Limits(seconds=600, memory=2_000_000_000)
"""For one entry. A sound one takes less than a second; most of the memory is PyTorch's, which such processes load."""


def check_bounded(folder: Path, registry: Path | None = None, limits: Limits = LIMITS) -> list[Problem]:
    """All that is wrong with an entry, as `check_entry` finds it, in a process with limits."""
    problems = []
    try:
        # The process may run in another folder.
        for file, message, line in bounded(_problems, (folder.absolute(), registry and registry.absolute()), limits):
            problems.append(Problem(folder / file, message, line))
    except StoppedError as error:
        problems.append(Problem(folder, f"checking it was stopped: {error}."))
    return problems


def _problems(folder: Path, registry: Path | None) -> Iterator[Any]:
    for problem in check_entry(folder, registry):
        yield problem.file.relative_to(folder).as_posix(), problem.message, problem.line
