"""The views of the leaderboard: who stood how against an attack, on a task or over all tasks.

Which views there are follows from the results that the entries hold; a new attack or position needs nothing here.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from functools import lru_cache

from ..benchmark import OFFICIAL_ATTACKS, TIERS, get_profile
from ..submissions.adversary import OFFICIAL_ADVERSARY
from ..submissions.claims import RANKED, claims_of
from ..submissions.entry import Entry
from ..tasks import OFFICIAL_TASKS
from .ranking import Field, ranks_among
from .share import Share
from .standing import Bounded, Measured, Overall, Reported, Standing

OVERALL = "overall"
"""Stands where a view would name its task: the mean over the official tasks."""
ADVERSARY = OFFICIAL_ADVERSARY.replace(" ", "-")
RELATIVE_TIERS = (1e2, 1e3, 1e4, 1e5, 1e6)
"""Budgets in forward passes of the victim, at which robust accuracy is quoted beside the absolute tiers."""

LITE = get_profile("lite").budget
Ranks = Mapping[tuple[float, bool], Mapping[str, int]]


@dataclass(frozen=True)
class View:
    """One table of the leaderboard. attack: name and position, or ADVERSARY. standings: by slug.

    ranks: by tier (FLOP, or forward passes) and axis, the rank of every ranked entry by slug. tier: what it opens with.
    """

    task: str
    attack: str
    standings: Mapping[str, Standing]
    ranks: Ranks = field(default_factory=dict)
    tier: float = LITE


def standings_of(entry: Entry) -> dict[tuple[str, str], Standing]:
    """How an entry stands, by task and attack; OVERALL where it has all official tasks."""
    found: dict[tuple[str, str], Standing] = {}
    for task in {key.task for key in (*entry.results, *entry.curves)}:
        for claim in claims_of(entry, task):
            found[task, claim.attack] = Measured(claim.survival, claim.evidence, claim.flags, claim.attackers)
        for key, curve in entry.curves.items():
            if key.task == task:
                found[task, f"{key.attack}-{key.position}"] = Reported.of(curve)
        parts = [found[task, name] for name in _official_keys() if (task, name) in found]
        if parts and (task, ADVERSARY) not in found:
            found[task, ADVERSARY] = Bounded(parts)
    for attack in sorted({attack for _, attack in found}):
        tasks = [found.get((task, attack)) for task in OFFICIAL_TASKS]
        if all(tasks):
            found[OVERALL, attack] = Overall([part for part in tasks if part is not None])
    return found


def _official_keys() -> list[str]:
    return [f"{attack}-suffix" for attack in OFFICIAL_ATTACKS]


def views_of(
    standings: Mapping[str, Mapping[tuple[str, str], Standing]],
    *,
    known: Mapping[tuple[str, str], View] | None = None,
    changed: Set[str] = frozenset(),
) -> dict[tuple[str, str], View]:
    """All views, from the standings of each entry by slug: overall first; in a task the official adversary first.

    known: views of before; those that have none of the entries that `changed` since are taken over.
    """
    keys = {key for held in standings.values() for key in held}
    views = {}
    for task, attack in sorted(keys, key=view_order):
        held = {slug: each[task, attack] for slug, each in standings.items() if (task, attack) in each}
        before = (known or {}).get((task, attack))
        if before is not None and before.standings.keys() == held.keys() and not changed & held.keys():
            views[task, attack] = before
            continue
        ranks = _all_ranks(held)
        views[task, attack] = View(task, attack, held, ranks, _first_tier(held, ranks))
    return views


def view_order(key: tuple[str, str]) -> tuple[int, str, int, int, str]:
    """Sorts views: overall, then the official tasks in order; in a task the official adversary and its attacks."""
    task, attack = key
    place = -1 if task == OVERALL else OFFICIAL_TASKS.index(task) if task in OFFICIAL_TASKS else len(OFFICIAL_TASKS)
    return place, task, attack != ADVERSARY, attack not in _official_keys(), attack


@lru_cache(maxsize=50_000)
def quoted(standing: Standing, *, relative: bool = False) -> tuple[Share, ...]:
    """Robust accuracy at each tier, or each relative one."""
    return tuple(standing.at(tier, relative=relative) for tier in (RELATIVE_TIERS if relative else TIERS))


def _all_ranks(held: Mapping[str, Standing]) -> dict[tuple[float, bool], Mapping[str, int]]:
    found = {}
    slugs, entrants = list(held), Field(list(held.values()))
    for relative, tiers in ((False, TIERS), (True, RELATIVE_TIERS)):
        for tier in tiers:
            eligible = [number for number, side in enumerate(entrants.sides) if is_ranked(side, tier, relative)]
            found[tier, relative] = ranks_among(entrants, slugs, eligible, tier, relative)
    return found


def is_ranked(standing: Standing, tier: float, relative: bool = False) -> bool:
    """Whether there are enough examples, and the budget went that far or everything broke sooner."""
    if standing.examples < RANKED or (relative and standing.unit is None):
        return False
    return not standing.at(tier, relative=relative).bound


def _first_tier(held: Mapping[str, Standing], ranks: Ranks) -> float:
    """The largest tier at which a ranked entry holds on anything; that of the profile `lite` where there is none."""
    for tier in reversed(TIERS):
        if any(held[slug].at(tier).value > 0 for slug in ranks[tier, False]):
            return tier
    return LITE
