"""The strings that attacks found, entry by entry: a page with the first of every attack, and all of them as data.

Strings and examples are hostile. Scripts get them in segments and make nodes of these; the texts of the examples are
the same for all entries, and are published once per task.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from markupsafe import Markup

from ...benchmark import format_gpu_time
from ...submissions.entry import Entry, Key
from ...tasks import Example, UsageError, get_task
from ..attack_strings import Found, strings_of
from ..segments import Segment, as_html, segments
from ..site import Files, Site
from ..views import view_order

PAGE = 20
"""Strings shown at a time."""
_BEFORE, _AFTER = 260, 160
"""Characters of an example that are shown before and after the slot."""
_LONGEST = 300
"""Characters of a string that are shown; official ones have far fewer."""
_DATA_BYTES = 250_000
_FROM_PEOPLE = ("harmless",)
"""Tasks whose texts people may not want to see unasked."""


@dataclass(frozen=True)
class Shown:
    """One string as a page shows it. text: of the example around the slot, None where it is not at hand."""

    found: Found
    labels: tuple[str, str]
    text: tuple[Markup, Markup] | None
    closed: bool

    @property
    def example(self) -> Markup:
        return as_html(segments(_cut(self.found.example, 80)))

    @property
    def truth(self) -> str:
        return self.labels[self.found.label]

    @property
    def before(self) -> str:
        return self.labels[self.found.before]

    @property
    def after(self) -> str:
        return self.labels[self.found.after]

    @property
    def cost(self) -> str:
        return "" if self.found.cost is None else format_gpu_time(self.found.cost)

    @property
    def string(self) -> Markup:
        return as_html(segments(_cut(self.found.string)))

    @property
    def tokens(self) -> list[Markup] | None:
        if self.found.tokens is None or len(self.found.string) > _LONGEST:
            return None
        return [as_html(segments(token)) for token in self.found.tokens]


@dataclass(frozen=True)
class Section:
    """The strings of one attack on one task. found: None where there is no trace to read. wrong: how many examples were
    not attacked, being wrong without.
    """

    key: Key
    id: str
    found: Sequence[Found] | None
    shown: Sequence[Shown]
    budget: float
    wrong: int
    has_texts: bool

    @property
    def attack(self) -> str:
        return f"{self.key.attack}-{self.key.position}"

    @property
    def broken(self) -> int:
        return sum(each.cost is not None for each in self.found or ())

    @property
    def pages(self) -> int:
        return max(1, ceil(len(self.found or ()) / PAGE))


def pages(site: Site) -> Files:
    """The texts of the examples, per task."""
    return {
        texts_file(task): _call(
            "holdfastTexts", {"task": task, "texts": {id: _excerpt(each) for id, each in texts.items()}}
        )
        for task, texts in site.texts.items()
    }


def entry_files(site: Site, slug: str) -> Files:
    """The page with an entry's strings, and the data behind it; nothing for entries without results."""
    entry = site.entries[slug]
    sections = sections_of(site, entry)
    if not sections:
        return {}
    files = site.page(
        strings_page(slug),
        "entry_strings.html",
        entry=entry,
        sections=sections,
        texts_file=texts_file,
        strings_file=strings_file,
        PAGE=PAGE,
    )
    for section in sections:
        if section.found:
            files[strings_file(slug, section.id)] = data_of(section)
    return files


def strings_page(slug: str) -> str:
    return f"entries/{slug}/strings.html"


def strings_file(slug: str, section: str) -> str:
    return f"data/strings/{slug}/{section}.js"


def texts_file(task: str) -> str:
    return f"data/texts/{safe_name(task)}.js"


def safe_name(name: str) -> str:
    """A name from a file, as part of a path and an id; official ones stay as they are."""
    return re.sub(r"[^A-Za-z0-9_-]", lambda match: f".{ord(match[0]):x}", name)


def sections_of(site: Site, entry: Entry, count: int = PAGE) -> list[Section]:
    """Every attack with per-example results, in official order. count: strings shown of each."""
    keys = sorted(entry.results, key=lambda key: view_order((key.task, f"{key.attack}-{key.position}")))
    return [_section(site, entry, key, count) for key in keys]


def _section(site: Site, entry: Entry, key: Key, count: int) -> Section:
    found = strings_of(entry, key)
    result = entry.results[key]
    return Section(
        key=key,
        id=safe_name(f"{key.task}-{key.attack}-{key.position}"),
        found=found,
        shown=[shown(site, key.task, each) for each in (found or ())[:count]],
        budget=result.budget,
        wrong=result.summary.examples - result.summary.clean_correct,
        has_texts=key.task in site.texts,
    )


def shown(site: Site, task: str, found: Found) -> Shown:
    example = site.texts.get(task, {}).get(found.example)
    text = None if example is None else _excerpt_html(example)
    return Shown(found, labels_of(task), text, closed=task in _FROM_PEOPLE)


@lru_cache(maxsize=100)
def labels_of(task: str) -> tuple[str, str]:
    """The words for label 0 and 1; of a task that is not installed only the numbers are known."""
    try:
        return get_task(task).labels
    except UsageError:
        return "0", "1"


def _cut(text: str, limit: int = _LONGEST) -> str:
    return text if len(text) <= limit else text[:limit] + "…"


def data_of(section: Section) -> bytes:
    """All strings of a section as a script; shortened where they were made to be large."""
    content = _call("holdfastStrings", _data(section, _LONGEST))
    if len(content) <= _DATA_BYTES:
        return content
    return _call("holdfastStrings", _data(section, _LONGEST * _DATA_BYTES // len(content)))


def _data(section: Section, limit: int) -> dict[str, object]:
    """All strings of a section: example, labels (true, without, with), cost, string, tokens or how many they are.

    limit: characters of a string, and of an example's name; longer ones come without tokens.
    """
    rows = [
        [
            segments(_cut(each.example, min(80, limit))),
            [each.label, each.before, each.after],
            "" if each.cost is None else format_gpu_time(each.cost),
            segments(_cut(each.string, limit)),
            each.count
            if each.tokens is None or len(each.string) > limit
            else [segments(token) for token in each.tokens],
            each.example if len(each.example) <= limit else "",
        ]
        for each in section.found or ()
    ]
    return {
        "section": section.id,
        "labels": labels_of(section.key.task),
        "budget": format_gpu_time(section.budget),
        "rows": rows,
    }


@lru_cache(maxsize=10_000)
def _excerpt(example: Example) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """The text around the slot in segments, … where it is cut."""
    before = example.before if len(example.before) <= _BEFORE else "…" + example.before[-_BEFORE:]
    after = example.after if len(example.after) <= _AFTER else example.after[:_AFTER] + "…"
    return segments(before, lines=True), segments(after, lines=True)


@lru_cache(maxsize=10_000)
def _excerpt_html(example: Example) -> tuple[Markup, Markup]:
    before, after = _excerpt(example)
    return as_html(before), as_html(after)


def _call(function: str, data: object) -> bytes:
    """A script that hands data to a function of the page. ASCII, and nothing in it ends a script element."""
    content = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return f"{function}({content});\n".encode()
