"""Finding tasks by name, through the entry points of the group `holdfast.tasks`, ours and third parties' alike.

Other rooms find their own kinds of things (attacks) the same way, with `Registry`.
"""

import difflib
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points

from .errors import UsageError
from .task import Task


@dataclass(frozen=True)
class Registry:
    """Named things that packages announce through an entry-point group.

    kind: what one is called in messages. official: our own, in official order; nobody can take their names.
    home: the module path that our own entry points begin with.
    """

    group: str
    kind: str
    official: tuple[str, ...]
    home: str

    def names(self) -> list[str]:
        """All installed ones: the official ones in official order, then the others by name."""
        found = self._entry_points()
        return [name for name in self.official if name in found] + sorted(found.keys() - set(self.official))

    def load(self, name: str) -> object:
        """What the entry point of that name points at.

        Raises: UsageError when there is none, or when the package that announces it cannot be loaded.
        """
        found = self._entry_points()
        if name not in found:
            # Names differ in their separator between kinds, and people mix the two up.
            plain = {other.replace("_", "-"): other for other in found}
            nearest = difflib.get_close_matches(name.lower().replace("_", "-"), plain, n=1, cutoff=0.5)
            hint = f" (did you mean {plain[nearest[0]]!r}?)" if nearest else ""
            raise UsageError(f"There is no {self.kind} {name!r}{hint}; the {self.kind}s are {', '.join(self.names())}.")
        try:
            return found[name].load()
        except Exception as error:  # whatever a third party's module does when it is imported
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise UsageError(
                f"The {self.kind} {name!r} of the package {self._package(name)} cannot be loaded ({reason}); update or "
                "uninstall that package."
            ) from error

    def refuse(self, name: str) -> UsageError:
        """The error for an entry point that points at something else than it announces."""
        return UsageError(
            f"The package {self._package(name)} announces {self._entry_points()[name].value} as the {self.kind} "
            f"{name!r}, which it is not; update or uninstall that package."
        )

    def _package(self, name: str) -> str:
        entry = self._entry_points()[name]
        return entry.dist.name if entry.dist else "an installed package"

    def _entry_points(self) -> dict[str, EntryPoint]:
        # Ours come last, so that they win.
        found = sorted(_announced(self.group, tuple(sys.path)), key=lambda entry: entry.value.startswith(self.home))
        return {entry.name: entry for entry in found}


@lru_cache
def _announced(group: str, path: tuple[str, ...]) -> EntryPoints:
    """The entry points of a group in all packages on the path; reading them takes a millisecond a package."""
    return entry_points(group=group)


OFFICIAL_TASKS = ("password-match", "word-length", "imdb", "spam", "harmless")
_TASKS = Registry("holdfast.tasks", "task", OFFICIAL_TASKS, "holdfast.tasks.")


def task_names() -> list[str]:
    """All installed tasks: the official ones in official order, then the others by name."""
    return _TASKS.names()


def get_task(name: str) -> Task:
    """The task of that name.

    Raises: UsageError when there is none, or when the package that announces it cannot be loaded.
    """
    task = _TASKS.load(name)
    if not isinstance(task, Task) or task.name != name:
        raise _TASKS.refuse(name)
    return task
