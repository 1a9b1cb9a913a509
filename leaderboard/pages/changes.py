"""What changed on the leaderboard: the changelog of entries, its Atom feed, and the sitemap."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from ...submissions.entry import Entry
from ..site import Files, Site


@dataclass(frozen=True)
class Change:
    """Something that happened to an entry. what: `submitted`, or the evidence that it got."""

    day: date
    slug: str
    what: str
    entry: Entry

    @property
    def at(self) -> str:
        return datetime.combine(self.day, time(), UTC).isoformat()


def changes_of(site: Site) -> list[Change]:
    """The newest first, then by slug."""
    found = []
    for slug, entry in site.entries.items():
        found.append(Change(entry.manifest.submitted, slug, "submitted", entry))
        verified = {(record.verified_at.astimezone(UTC).date(), record.level) for record in entry.evidence.values()}
        found += [Change(day, slug, level, entry) for day, level in sorted(verified)]
    return sorted(found, key=lambda change: (-change.day.toordinal(), change.slug, change.what))


def pages(site: Site) -> Files:
    changes = changes_of(site)
    files = site.page("changes.html", "changes.html", section="Changes", changes=changes)
    files |= site.page("feed.xml", "feed.xml", changes=changes[:100])
    if site.url:
        files |= site.page("robots.txt", "robots.txt")
    return files


def sitemap(site: Site, files: Iterable[str]) -> Files:
    """The sitemap of a site with these files; none where the site's address is not known, as it needs whole ones."""
    if not site.url:
        return {}
    pages = sorted(path for path in files if path.endswith(".html") and path != "404.html")
    return site.page("sitemap.xml", "sitemap.xml", pages=pages)
