"""Preview images: what a link to an entry looks like where links are shown with a picture.

One PNG per entry and one for the site, drawn from an SVG template, at half of the usual 1200 × 630 pixels: a large site
is built in half of the time and space, and the picture still is of the size that previews ask for.
"""

from dataclasses import dataclass
from functools import cache

import vl_convert

from ...benchmark import format_gpu_time
from ..figures import short_count
from ..headline import main_view, tasks_of, tier_of
from ..render import environment, label
from ..share import Share
from ..site import Files, Site
from ..text import plain
from ..views import ADVERSARY, OVERALL

_SCALE = 0.5
_BAR = 620
"""Width in pixels of a bar that is full."""
_MOST_BARS = 5


@dataclass(frozen=True)
class Bar:
    """Robust accuracy on one task. width, low, high: in pixels of the drawing."""

    task: str
    share: Share

    @property
    def width(self) -> float:
        return round(_BAR * self.share.value, 1)

    @property
    def low(self) -> float:
        return round(_BAR * self.share.low, 1)

    @property
    def high(self) -> float:
        return round(_BAR * self.share.high, 1)

    @property
    def text(self) -> str:
        return self.share.text


def pages(site: Site) -> Files:
    """The image of the site."""
    number = len(site.entries)
    lines = {
        "title": "Holdfast",
        "about": "Adversarial robustness of language-model classifiers",
        "big": "How much compute",
        "caption": "does it take to break your classifier?",
        "foot": f"{number} {'entry' if number == 1 else 'entries'}",
    }
    return {"images/holdfast.png": png_of(**lines, bars=[], title_size=56, big_size=92)}


def entry_files(site: Site, slug: str) -> Files:
    """The image of one entry: its name, and how it holds under the official adversary, task by task."""
    entry, standings = site.entries[slug], site.standings[slug]
    manifest = entry.manifest
    sizes = sorted({task.parameters for task in manifest.tasks.values()})
    size = short_count(sizes[0]) + (f" to {short_count(sizes[-1])}" if len(sizes) > 1 else "")
    about = f"{plain(manifest.family, 40)} · {size} parameters · {_defence(manifest.defence.kind)}"
    name = plain(manifest.name, 64)
    bars = []
    for task in [task for task in tasks_of(standings) if (task, ADVERSARY) in standings][:_MOST_BARS]:
        share = standings[task, ADVERSARY].at(tier_of(site, task, ADVERSARY))
        bars.append(Bar(plain(label(task), 20), share))
    big, caption = _headline(site, slug)
    content = png_of(
        title=name,
        about=about,
        big=big,
        caption=caption,
        foot="",
        bars=bars,
        title_size=56 if len(name) <= 34 else 40 if len(name) <= 48 else 30,
        big_size=92,
    )
    return {image_file(slug): content}


def image_file(slug: str) -> str:
    """In a folder of their own, so that no slug takes the name of the site's image."""
    return f"images/entries/{slug}.png"


def _headline(site: Site, slug: str) -> tuple[str, str]:
    standings = site.standings[slug]
    key = main_view(standings)
    if key is None:
        return "", "not attacked by the official adversary"
    tier = tier_of(site, *key)
    where = "the mean over all tasks" if key[0] == OVERALL else plain(label(key[0]), 30)
    return standings[key].at(tier).text, f"still right after {format_gpu_time(tier)} of attack per example, {where}"


def _defence(kind: str) -> str:
    return "no defence" if kind == "none" else label(kind)


def png_of(**drawn: object) -> bytes:
    return vl_convert.svg_to_png(_template().render(**drawn), scale=_SCALE)


@cache
def _template():
    return environment().get_template("preview.svg")
