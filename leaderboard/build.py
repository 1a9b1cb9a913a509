"""Builds the site: reads the registry, makes every page, and writes what changed.

The same registry gives the same bytes. Entries whose files did not change since the last build are left as they are;
what is kept for that lies in a folder beside the site, and may be deleted at any time.
"""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import vl_convert

from ..submissions.entry import Entry, find_registry, load_registry
from ..tasks import DataError, Example, UsageError, get_task
from .pages import api, badges, changes, compare, documents, entry, preview_images, scaling, strings, table, tasks
from .render import STATIC
from .site import Files, Site
from .views import standings_of, views_of

MARKER = ".holdfast-site"
"""Says that a folder is a site that we built, so that it may be written again."""
_PER_ENTRY = (entry, strings, badges, preview_images, api)
_WHOLE = (table, tasks, scaling, compare, changes, documents, strings, preview_images, api)


@dataclass(frozen=True)
class Built:
    """What a build did. files: of the whole site. written: new or changed. lacking: tasks without texts at hand."""

    out: Path
    entries: int
    files: int
    written: int
    removed: int
    lacking: tuple[str, ...]


def build(
    registry: Path | None,
    out: Path,
    *,
    url: str | None = None,
    mirror: Path | None = None,
    live: bool = False,
) -> Built:
    """Build the site of a registry into a folder.

    url: where it will be published. mirror: a local copy of the Hub's layout to take data sets from; tasks whose data
    is not at hand are shown without their texts. Raises: UsageError when the folder holds something else; RecordError
    when an entry cannot be read.
    """
    _refuse_foreign(out)
    loaded = load_registry(find_registry(registry))
    texts, lacking = texts_of(loaded, mirror)
    site = made_site(loaded, texts=texts, url=url, live=live)
    files = all_files(site)
    written, removed = write(files, out)
    return Built(out, len(loaded), len(files), written, removed, lacking)


def made_site(
    entries: Iterable[Entry],
    *,
    texts: Mapping[str, Mapping[str, Example]] | None = None,
    url: str | None = None,
    live: bool = False,
) -> Site:
    """Everything that pages are made from."""
    by_slug = {each.slug: each for each in sorted(entries, key=lambda each: each.slug)}
    standings = {slug: standings_of(each) for slug, each in by_slug.items()}
    return Site(by_slug, standings, views_of(standings), texts or {}, _with_slash(url), live)


def all_files(site: Site) -> Files:
    """Every file of a site."""
    files: Files = {
        f"static/{path.name}": path.read_bytes()
        for path in sorted(STATIC.iterdir())
        if path.is_file() and (site.live or path.name != "reload.js")
    }
    files["static/vega.js"] = chart_bundle()
    files[".nojekyll"] = b""
    for module in _WHOLE:
        files |= module.pages(site)
    for slug in site.entries:
        for module in _PER_ENTRY:
            files |= module.entry_files(site, slug)
    files |= changes.sitemap(site, files)
    return files


def chart_bundle() -> bytes:
    """Vega, Vega-Lite and Vega-Embed as one script; wrapped, so that its names stay its own."""
    return b"(()=>{" + vl_convert.javascript_bundle(None).encode() + b"\n})();\n"


def texts_of(entries: Iterable[Entry], mirror: Path | None) -> tuple[dict[str, dict[str, Example]], tuple[str, ...]]:
    """The examples of every task with per-example results, by id; and the tasks whose data is not at hand."""
    texts: dict[str, dict[str, Example]] = {}
    lacking = []
    for name in sorted({key.task for each in entries for key in each.results}):
        try:
            evaluation = get_task(name).evaluation(mirror=mirror)
        except (DataError, UsageError):
            lacking.append(name)
            continue
        if not evaluation.matches:
            lacking.append(name)
            continue
        texts[name] = {example.id: example for example in evaluation.examples}
    return texts, tuple(lacking)


def write(files: Files, out: Path) -> tuple[int, int]:
    """Write the files that differ, remove those that are no more; how many of each."""
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
    wanted = {out / path for path in files} | {out / MARKER}
    stale = [path for path in out.rglob("*") if path.is_file() and path not in wanted]
    for path in stale:
        path.unlink()
    for folder in sorted((path for path in out.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            shutil.rmtree(folder)
    return written, len(stale)


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
