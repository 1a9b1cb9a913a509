"""The site: what all pages are made from, and the files they become."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..submissions.entry import Entry
from ..tasks import Example
from .render import render
from .standing import Standing
from .views import View

Made = TypeVar("Made")
Files = dict[str, bytes]
"""Content by path inside the site, with forward slashes."""


@dataclass(frozen=True)
class Site:
    """Everything that pages are made from.

    entries, standings: by slug. views: by task and attack. texts: examples by task and id, for the tasks whose data is
    at hand. url: where the site will be, with a slash at the end; None when it is not known, so that feed, sitemap and
    preview images have no absolute links. live: add what reloads pages while they are edited.
    """

    entries: Mapping[str, Entry]
    standings: Mapping[str, Mapping[tuple[str, str], Standing]]
    views: Mapping[tuple[str, str], View]
    texts: Mapping[str, Mapping[str, Example]] = field(default_factory=dict)
    url: str | None = None
    live: bool = False
    memory: dict[Hashable, tuple[tuple[object, ...], Any]] = field(default_factory=dict, compare=False, repr=False)
    """What earlier builds made; see `once`."""

    def once(self, key: Hashable, parts: Iterable[object], make: Callable[[], Made]) -> Made:
        """What follows from some parts alone: made anew only when one of these is another object than before."""
        given = tuple(parts)
        known, made = self.memory.get(key, ((), None))
        if made is None or len(known) != len(given) or any(a is not b for a, b in zip(known, given, strict=True)):
            made = make()
            self.memory[key] = (given, made)
        return made

    def page(self, path: str, template: str, /, **context: object) -> Files:
        """One page as a file. A template sets its own title."""
        return {path: render(template, path, {"site": self, **context})}
