"""Badges: one small SVG per entry, and one per task of it, for model cards and READMEs.

They say what the leaderboard says: robust accuracy under the official adversary at the tier that the table opens with,
and on what evidence.
"""

from dataclasses import dataclass
from functools import cache

from ...benchmark import format_gpu_time
from ..headline import main_view, tasks_of, tier_of
from ..render import environment
from ..site import Files, Site
from ..text import plain
from ..views import ADVERSARY
from .strings import safe_name

_COLOURS = {"reported": "#5b6770", "scored": "#8a4b00", "replayed": "#1a6b3c", "reproduced": "#0b5d66"}
"""By evidence; white text on each has a contrast of at least 4.5."""
_WIDTHS = {**dict.fromkeys("fijlrt.,:|!'[]() ", 4.0), **dict.fromkeys("mwMW%@", 10.5), **dict.fromkeys("≤", 9.0)}
_WIDTH = 6.8
"""Widths in pixels of characters of 11 px Verdana or DejaVu Sans, roughly; what is drawn is stretched to fit."""
_PADDING = 12


@dataclass(frozen=True)
class Badge:
    """left, right: what stands on either half."""

    left: str
    right: str
    colour: str

    @property
    def left_width(self) -> int:
        return width_of(self.left)

    @property
    def width(self) -> int:
        return self.left_width + width_of(self.right)


def entry_files(site: Site, slug: str) -> Files:
    """The badge of an entry, by all tasks or by its first, and one for every task."""
    standings = site.standings[slug]
    files = {badge_file(slug): svg_of(badge_of(site, slug, *(main_view(standings) or (None, ADVERSARY))))}
    for task in tasks_of(standings):
        if (task, ADVERSARY) in standings:
            files[badge_file(slug, task)] = svg_of(badge_of(site, slug, task, ADVERSARY))
    return files


def badge_file(slug: str, task: str | None = None) -> str:
    """Tasks in a folder of the entry: no slug can then be taken for a slug and a task."""
    return f"badges/{slug}.svg" if task is None else f"badges/{slug}/{safe_name(task)}.svg"


def badge_of(site: Site, slug: str, task: str | None, attack: str) -> Badge:
    """task: None for an entry that the official adversary never met."""
    if task is None:
        return Badge("Holdfast", "no official attack", _COLOURS["reported"])
    standing = site.standings[slug][task, attack]
    tier = tier_of(site, task, attack)
    share = standing.at(tier).text.replace("%", " %")
    said = f"{share} at {format_gpu_time(tier)}, {standing.level}"
    return Badge(f"Holdfast · {plain(task, 40)}", said, _COLOURS[standing.level])


def width_of(text: str) -> int:
    return round(sum(_WIDTHS.get(character, _WIDTH) for character in text)) + _PADDING


def svg_of(badge: Badge) -> bytes:
    return _template().render(badge=badge).encode()


@cache
def _template():
    return environment().get_template("badge.svg")
