"""The figures of one entry as its page, badge and preview image give them: a line per task and attack.

Lines stand in official order: all tasks together first where the entry has them all, then task by task, and in a task
the official adversary before the single attacks.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ..benchmark import TIERS
from ..benchmark.curves import Proportion, attack_success_rate
from ..submissions.claims import RANKED
from ..submissions.published import published_clean_accuracy
from .figures import area_text, median_text
from .health import Flag, flags
from .share import Share
from .site import Site
from .standing import Measured, Reported, Standing
from .views import ADVERSARY, LITE, OVERALL, quoted, view_order

Standings = Mapping[tuple[str, str], Standing]


@dataclass(frozen=True)
class Rank:
    """A place among the entries that chance could not swap with worse ones. tier: FLOP per example."""

    place: int
    of: int
    tier: float


@dataclass(frozen=True)
class Line:
    """How an entry stands against one attack on one task, as it is written. robust: by tier (FLOP per example)."""

    task: str
    attack: str
    standing: Standing
    robust: Mapping[float, Share]
    success: Share | None
    median: str
    median_passes: str
    rank: Rank | None

    @property
    def area(self) -> str:
        return area_text(self.standing.area)

    @property
    def preview(self) -> bool:
        """Too few examples for a rank."""
        return self.standing.examples < RANKED

    @property
    def flags(self) -> list[Flag]:
        return flags(self.standing.flags)


def lines_of(site: Site, slug: str) -> list[Line]:
    """Everything about an entry, in order."""
    standings = site.standings[slug]
    return [line_of(site, slug, *key) for key in sorted(standings, key=view_order)]


def line_of(site: Site, slug: str, task: str, attack: str) -> Line:
    standing = site.standings[slug][task, attack]
    median, unit = standing.median, standing.unit
    return Line(
        task=task,
        attack=attack,
        standing=standing,
        robust=dict(zip(TIERS, quoted(standing), strict=True)),
        success=success_of(standing),
        median=median_text(median),
        median_passes="" if unit is None else median_text(median, unit),
        rank=rank_of(site, slug, task, attack),
    )


def success_of(standing: Standing) -> Share | None:
    """Broken among clean-correct examples within the whole budget; None where that is no one number."""
    if isinstance(standing, Measured):
        rate = attack_success_rate(standing.survival)
        return None if rate is None else Share.of(rate)
    if isinstance(standing, Reported):
        correct = published_clean_accuracy(standing.curve).successes
        broken = round(standing.curve.points[-1].attack_success_rate.median * correct)
        return Share.of(Proportion(broken, correct)) if correct else None
    return None


def rank_of(site: Site, slug: str, task: str, attack: str) -> Rank | None:
    """The rank of an entry in a view at the tier that this opens with; None where it has none."""
    view = site.views.get((task, attack))
    if view is None:
        return None
    ranks = view.ranks.get((view.tier, False), {})
    return Rank(ranks[slug], len(ranks), view.tier) if slug in ranks else None


def tier_of(site: Site, task: str, attack: str) -> float:
    """The tier (FLOP per example) at which a view opens; that of `lite` where nobody stands in it."""
    view = site.views.get((task, attack))
    return LITE if view is None else view.tier


def main_view(standings: Standings) -> tuple[str, str] | None:
    """What an entry is known by: all tasks under the official adversary, else its first task; None without."""
    return next((key for key in sorted(standings, key=view_order) if key[1] == ADVERSARY), None)


def tasks_of(standings: Standings) -> list[str]:
    """The tasks of an entry, the official ones in their order first."""
    return [task for task in dict.fromkeys(task for task, _ in sorted(standings, key=view_order)) if task != OVERALL]
