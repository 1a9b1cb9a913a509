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
from .flags import flags_of

RANKED = 200
"""Examples from which on a result is ranked; one over fewer is a preview."""


@dataclass(frozen=True)
class Claim:
    """How a victim held against one attack. attack: its name and position, as in gcg-suffix, or official-adversary.
    evidence: the weakest among the results that it follows from. flags: all of theirs, in alphabetic order.
    """

    task: str
    attack: str
    survival: Survival
    evidence: Level
    results: tuple[Result, ...]
    flags: tuple[str, ...]

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


def claims_of(entry: Entry, task: str) -> list[Claim]:
    """The claims about one task: the official adversary first, then the attacks by name."""
    keys = sorted(key for key in entry.results if key.task == task)
    beside = [entry.results[key] for key in keys]
    claims = [
        Claim(task, f"{key.attack}-{key.position}", result, entry.level_of(key), (result,), flags_of([result], beside))
        for key, result in zip(keys, beside, strict=True)
    ]
    official = [key for key in keys if key.position == "suffix" and key.attack in OFFICIAL_ATTACKS]
    if len(official) == len(OFFICIAL_ATTACKS):
        results = tuple(entry.results[key] for key in official)
        name, level = OFFICIAL_ADVERSARY.replace(" ", "-"), entry.weakest(official)
        claims.insert(0, Claim(task, name, official_adversary(results), level, results, flags_of(results, beside)))
    return claims
