"""Entries that stand next to each other: the pairs that a reader of a table most often wants to tell apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from ..submissions.adversary import same_examples
from ..submissions.entry import Entry
from .site import Site
from .standing import Measured, Overall, Standing
from .views import ADVERSARY, View


@dataclass(frozen=True)
class Pair:
    """Two entries by slug, the better ranked one first."""

    base: str
    candidate: str

    @property
    def path(self) -> str:
        # A slug holds no double dash, so that a name of a page is of one pair only.
        return f"compare/{self.base}--{self.candidate}.html"


def neighbours(site: Site) -> list[Pair]:
    """Every pair of entries that are neighbours in rank in some task's table, or overall, as a table first shows it.

    Only those with results per example, on a task that both have. Each pair once, in the order of the first table that
    has it.
    """
    return site.once("neighbours", site.views.values(), partial(_found, site))


def _found(site: Site) -> list[Pair]:
    found: dict[frozenset[str], Pair] = {}
    for (_, attack), view in site.views.items():
        if attack != ADVERSARY:
            continue
        for base, candidate in pairwise(_in_order(view)):
            if shared_tasks(site.entries, Pair(base, candidate)):
                found.setdefault(frozenset((base, candidate)), Pair(base, candidate))
    return list(found.values())


def shared_tasks(entries: Mapping[str, Entry], pair: Pair) -> list[str]:
    """The tasks on which both were asked the same examples, in the order of the first one's results."""
    one, other = entries[pair.base], entries[pair.candidate]
    found: dict[str, bool] = {}
    for key, result in one.results.items():
        for their_key, theirs in other.results.items():
            if key.task == their_key.task and not found.get(key.task):
                asked, they_asked = result.task, theirs.task
                found[key.task] = (asked.version, asked.digest) == (
                    they_asked.version,
                    they_asked.digest,
                ) and same_examples(result.records, theirs.records)
    return [task for task, same in found.items() if same]


def _in_order(view: View) -> list[str]:
    """The ranked entries with results per example, in the order of the table."""
    tier = view.tier
    ranks = view.ranks.get((tier, False), {})
    measured = [slug for slug in ranks if _is_measured(view.standings[slug])]
    return sorted(measured, key=lambda slug: (ranks[slug], -view.standings[slug].at(tier).value, slug))


def _is_measured(standing: Standing) -> bool:
    parts = standing.parts if isinstance(standing, Overall) else [standing]
    return all(isinstance(part, Measured) for part in parts)
