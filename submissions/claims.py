"""What is published about an entry: how each of its tasks held, attack by attack, and on what evidence.

The official adversary is among the attacks where every official attack was run; with fewer it would be another,
weaker one under the same name. Figures beyond the budget are bounds and are no claims.
"""

from dataclasses import dataclass

from ..benchmark import OFFICIAL_ATTACKS, TIERS, Result
from ..benchmark.curves import Proportion, Survival, clean_accuracy, robust_accuracy
from .adversary import OFFICIAL_ADVERSARY, official_adversary
from .entry import Entry
from .evidence import Level

RANKED = 200
"""Examples from which on a result is ranked; one over fewer is a preview."""


@dataclass(frozen=True)
class Claim:
    """How a victim held against one attack. attack: its name and position, as in gcg-suffix, or official-adversary.
    evidence: the weakest among the results that it follows from.
    """

    task: str
    attack: str
    survival: Survival
    evidence: Level
    results: tuple[Result, ...]

    @property
    def examples(self) -> int:
        return len(self.survival.records)

    @property
    def clean(self) -> Proportion:
        return clean_accuracy(self.survival)

    @property
    def robust(self) -> dict[float, Proportion]:
        """Robust accuracy by tier (FLOP per example), as far as the budget went or until all were broken."""
        found = {tier: robust_accuracy(self.survival, tier) for tier in TIERS}
        return {tier: share for tier, share in found.items() if not share.bound}

    @property
    def attackers(self) -> tuple[str, ...]:
        """The attacks that were run."""
        return tuple(result.attack.name for result in self.results)

    @property
    def flags(self) -> list[str]:
        return sorted({flag for result in self.results for flag in result.flags})


def claims_of(entry: Entry, task: str) -> list[Claim]:
    """The claims about one task: the official adversary first, then the attacks by name."""
    keys = sorted(key for key in entry.results if key.task == task)
    claims = [
        Claim(task, f"{key.attack}-{key.position}", entry.results[key], entry.level_of(key), (entry.results[key],))
        for key in keys
    ]
    official = [key for key in keys if key.position == "suffix" and key.attack in OFFICIAL_ATTACKS]
    if len(official) == len(OFFICIAL_ATTACKS):
        results = tuple(entry.results[key] for key in official)
        name = OFFICIAL_ADVERSARY.replace(" ", "-")
        claims.insert(0, Claim(task, name, official_adversary(results), entry.weakest(official), results))
    return claims
