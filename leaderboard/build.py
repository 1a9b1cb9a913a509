"""Builds the site: reads the registry, makes every page, and writes what changed.

The same registry gives the same bytes. A `Builder` remembers what it read and made, so that building again after one
entry changed takes a fraction of the time; the pages of single entries are made by several processes.
"""

import gc
import multiprocessing
import os
import shutil
from collections.abc import Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import vl_convert

from ..submissions.entry import Entry, entry_folders, find_registry, load_entry
from ..tasks import DataError, Example, UsageError, get_task
from .neighbours import Pair, neighbours
from .pages import api, badges, changes, compare, documents, entry, preview_images, scaling, strings, table, tasks
from .render import STATIC, TEMPLATES
from .site import Files, Site
from .standing import Standing
from .views import View, standings_of, views_of

MARKER = ".holdfast-site"
"""Says that a folder is a site that we built, so that it may be written again."""
_PER_ENTRY = (entry, strings, badges, api)
_WHOLE = (table, tasks, scaling, compare, changes, documents, strings, preview_images, api)
_WORTH_PROCESSES = 24
"""Entries and pairs from which on their pages are made by several processes, which take seconds to start."""

Signature = tuple[tuple[str, int, int], ...]
Unit = tuple[str] | tuple[str, str]
"""What has pages of its own: an entry, or a pair of neighbours, by slug."""


@dataclass(frozen=True)
class Built:
    """What a build did. files: of the whole site. written: new or changed. lacking: tasks without texts at hand."""

    out: Path
    entries: int
    files: int
    written: int
    removed: int
    lacking: tuple[str, ...]


def build(registry: Path | None, out: Path, *, url: str | None = None, mirror: Path | None = None) -> Built:
    """Build the site of a registry into a folder.

    url: where it will be published. mirror: a local copy of the Hub's layout to take data sets from; tasks whose data
    is not at hand are shown without their texts. Raises: UsageError when the folder holds something else; RecordError
    when an entry cannot be read.
    """
    return Builder(find_registry(registry), out, url=_with_slash(url), mirror=mirror).build()


@dataclass
class Builder:
    """Builds one site, again and again. live: for `site serve`, so that open pages reload."""

    registry: Path
    out: Path
    url: str | None = None
    mirror: Path | None = None
    live: bool = False
    _loaded: dict[str, tuple[Signature, Entry, Mapping[tuple[str, str], Standing]]] = field(default_factory=dict)
    _views: dict[tuple[str, str], View] = field(default_factory=dict)
    _texts: dict[str, dict[str, Example]] = field(default_factory=dict)
    _lacking: set[str] = field(default_factory=set)
    _memory: dict[Hashable, tuple[tuple[object, ...], Any]] = field(default_factory=dict)
    _templates: Signature = ()
    _made: dict[Unit, tuple[object, tuple[str, ...]]] = field(default_factory=dict)
    """What the files of a unit were made from, and their paths."""

    def build(self) -> Built:
        """Build what is not there, or is there from other files."""
        _refuse_foreign(self.out)
        site = self._site()
        # Entries are a million objects, which garbage collection would look through again and again.
        gc.freeze()
        try:
            return self._write(site)
        finally:
            gc.unfreeze()

    def _write(self, site: Site) -> Built:
        wanted = {unit: self._basis(site, unit) for unit in units_of(site)}
        kept = {unit for unit, basis in wanted.items() if self._is_made(unit, basis)}
        files, whole = made_files(site, [unit for unit in wanted if unit not in kept])
        for unit, made in files.items():
            self._made[unit] = (wanted[unit], tuple(made))
        every = {path: content for made in (*files.values(), whole) for path, content in made.items()}
        unchanged = {path for unit in kept for path in self._made[unit][1]}
        whole |= changes.sitemap(site, [*every, *unchanged])
        every |= whole
        written, removed = write(every, unchanged, self.out)
        lacking = tuple(sorted(self._lacking))
        return Built(self.out, len(site.entries), len(every) + len(unchanged), written, removed, lacking)

    def _site(self) -> Site:
        changed = self._load()
        entries = {slug: entry for slug, (_, entry, _) in self._loaded.items()}
        standings = {slug: held for slug, (_, _, held) in self._loaded.items()}
        self._load_texts(entries.values())
        self._views = views_of(standings, known=self._views, changed=changed)
        if self._templates != (now := _signature(TEMPLATES)):
            self._memory.clear()
            self._templates = now
        return Site(entries, standings, self._views, self._texts, self.url, self.live, self._memory)

    def _load(self) -> set[str]:
        """Read the entries whose files changed; their slugs, and those of entries that are gone."""
        before = self._loaded
        self._loaded = {}
        changed = set()
        for folder in entry_folders(self.registry):
            signature = _signature(folder)
            slug = folder.name
            if slug in before and before[slug][0] == signature:
                self._loaded[slug] = before[slug]
                continue
            loaded = load_entry(folder)
            self._loaded[slug] = (signature, loaded, standings_of(loaded))
            changed.add(slug)
        return changed | (before.keys() - self._loaded.keys())

    def _load_texts(self, entries: Iterable[Entry]) -> None:
        for name in sorted({key.task for each in entries for key in each.results}):
            if name in self._texts or name in self._lacking:
                continue
            texts = texts_of(name, self.mirror)
            if texts is None:
                self._lacking.add(name)
            else:
                self._texts[name] = texts

    def _basis(self, site: Site, unit: Unit) -> object:
        """Everything that the pages of a unit are made from: its files, its places, and what all pages are."""
        files = [self._loaded[slug][0] for slug in unit]
        places: list[object] = []
        if len(unit) == 1:
            for key in sorted(site.standings[unit[0]]):
                view = site.views[key]
                ranks = view.ranks[view.tier, False]
                places.append((key, view.tier, ranks.get(unit[0]), len(ranks)))
        return files, places, self._templates, sorted(self._texts)

    def _is_made(self, unit: Unit, basis: object) -> bool:
        known = self._made.get(unit)
        return known is not None and known[0] == basis and all((self.out / path).is_file() for path in known[1])


def made_files(site: Site, units: Sequence[Unit]) -> tuple[dict[Unit, Files], Files]:
    """The files of some units, by several processes where there are many; and meanwhile the files of the whole site."""
    processes = min(os.cpu_count() or 1, len(units) // _WORTH_PROCESSES + 1)
    if processes == 1:
        return share_of_files(site, units), whole_files(site)
    shares = [units[start :: 8 * processes] for start in range(8 * processes)]
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("forkserver")) as pool:
        pending = [pool.submit(_read_and_made, _Share.of(site, share)) for share in shares]
        whole = whole_files(site)
        found = {unit: made for each in pending for unit, made in each.result().items()}
    return {unit: found[unit] for unit in units}, whole


@dataclass(frozen=True)
class _Share:
    """What another process makes. Entries are read there again, which takes less time than sending them. views: without
    standings.
    """

    units: Sequence[Unit]
    folders: Sequence[Path]
    views: Mapping[tuple[str, str], View]
    texts: Mapping[str, Mapping[str, Example]]
    url: str | None
    live: bool

    @staticmethod
    def of(site: Site, units: Sequence[Unit]) -> "_Share":
        slugs = sorted({slug for unit in units for slug in unit})
        tasks = {key.task for slug in slugs for key in site.entries[slug].results}
        return _Share(
            units=units,
            folders=[site.entries[slug].folder for slug in slugs],
            views={key: replace(view, standings={}) for key, view in site.views.items()},
            texts={task: texts for task, texts in site.texts.items() if task in tasks},
            url=site.url,
            live=site.live,
        )


def _read_and_made(share: _Share) -> dict[Unit, Files]:
    entries = {folder.name: load_entry(folder) for folder in share.folders}
    standings = {slug: standings_of(each) for slug, each in entries.items()}
    gc.freeze()
    views = {
        key: replace(view, standings={slug: held[key] for slug, held in standings.items() if key in held})
        for key, view in share.views.items()
    }
    return share_of_files(Site(entries, standings, views, share.texts, share.url, share.live), share.units)


def units_of(site: Site) -> list[Unit]:
    """What has pages of its own: every entry, and every pair of neighbours in rank."""
    return [*((slug,) for slug in site.entries), *((pair.base, pair.candidate) for pair in neighbours(site))]


def files_of(site: Site, unit: Unit) -> Files:
    """Every file of an entry, or of a pair."""
    if len(unit) == 2:
        return compare.pair_files(site, Pair(*unit))
    files: Files = {}
    for module in _PER_ENTRY:
        files |= module.entry_files(site, unit[0])
    # Nothing leads to preview images where the site's address is not known.
    return files | (preview_images.entry_files(site, unit[0]) if site.url else {})


def share_of_files(site: Site, units: Sequence[Unit]) -> dict[Unit, Files]:
    return {unit: files_of(site, unit) for unit in units}


def whole_files(site: Site) -> Files:
    """Every file that is not of one entry alone."""
    files: Files = {
        f"static/{path.name}": path.read_bytes()
        for path in sorted(STATIC.iterdir())
        if path.is_file() and (site.live or path.name != "reload.js")
    }
    files["static/vega.js"] = chart_bundle()
    files[".nojekyll"] = b""
    for module in _WHOLE:
        files |= module.pages(site)
    return files


def made_site(
    entries: Iterable[Entry],
    *,
    texts: Mapping[str, Mapping[str, Example]] | None = None,
    url: str | None = None,
) -> Site:
    """What pages are made from, of entries that are at hand."""
    by_slug = {each.slug: each for each in sorted(entries, key=lambda each: each.slug)}
    standings = {slug: standings_of(each) for slug, each in by_slug.items()}
    return Site(by_slug, standings, views_of(standings), texts or {}, _with_slash(url))


def all_files(site: Site) -> Files:
    """Every file of a site, made in this process."""
    files = whole_files(site)
    for unit in units_of(site):
        files |= files_of(site, unit)
    return files | changes.sitemap(site, files)


@cache
def chart_bundle() -> bytes:
    """Vega, Vega-Lite and Vega-Embed as one script; wrapped, so that its names stay its own."""
    return b"(()=>{" + vl_convert.javascript_bundle(_BUNDLE).encode() + b"\n})();\n"


_BUNDLE = "window.vegaEmbed = vegaEmbed; window.vega = vega; window.vegaLite = vegaLite;"


def texts_of(task: str, mirror: Path | None) -> dict[str, Example] | None:
    """The examples of a task by id; None where the official ones are not at hand."""
    try:
        evaluation = get_task(task).evaluation(mirror=mirror)
    except (DataError, UsageError):
        return None
    return {example.id: example for example in evaluation.examples} if evaluation.matches else None


def write(files: Files, unchanged: set[str], out: Path) -> tuple[int, int]:
    """Write the files that differ and remove those that are no more; how many of each. unchanged: paths to keep."""
    out.mkdir(parents=True, exist_ok=True)
    (out / MARKER).touch()
    written = 0
    for path, content in files.items():
        target = out / path
        if target.is_file() and target.read_bytes() == content:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        written += 1
    wanted = files.keys() | unchanged | {MARKER}
    removed = 0
    for folder, folders, names in os.walk(out, topdown=False):
        here = Path(folder)
        for name in names:
            if (here / name).relative_to(out).as_posix() not in wanted:
                (here / name).unlink()
                removed += 1
        if here != out and not any((here / each).exists() for each in (*folders, *names)):
            shutil.rmtree(here)
    return written, removed


def _signature(folder: Path) -> Signature:
    """The files of a folder with their sizes and times of change."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            status = path.stat()
            found.append((path.relative_to(folder).as_posix(), status.st_size, status.st_mtime_ns))
    return tuple(found)


def _refuse_foreign(out: Path) -> None:
    """Raises: UsageError when a folder holds something that we did not build."""
    if out.is_file():
        raise UsageError(f"{out} is a file; give the folder that the site should be built into.")
    if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise UsageError(
            f"{out} holds something else than a site; give an empty folder, or a new one, to build the site into."
        )


def _with_slash(url: str | None) -> str | None:
    if url is None:
        return None
    if not url.startswith(("https://", "http://")):
        raise UsageError(f"The site's address must begin with https:// or http://, and is {url!r}.")
    return url.rstrip("/") + "/"
