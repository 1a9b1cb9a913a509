"""Transfer: what a victim loses when an attack comes at another position, or with a longer string.

Variants of one attack stand side by side, at the largest tier that all of them were run to. Where they were run on the
same examples, what each costs the victim beyond the official variant comes with a paired interval.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..benchmark.budget import TIERS
from ..benchmark.curves import Proportion
from ..benchmark.position import OFFICIAL_POSITION, POSITIONS
from ..submissions.adversary import same_examples
from ..submissions.entry import Entry, Key
from ..submissions.paired import PairedDifference, paired_difference
from .headline import success_of
from .share import Share
from .standing import Measured, Standing


@dataclass(frozen=True)
class Variant:
    """One attack at one position and length. length: tokens; None where it is not recorded.

    robust, success: at the tier of the table; success is a published one's over its whole budget. lost: what it leaves
    beyond the official variant, on the same examples; None without such.
    """

    position: str
    length: int | None
    examples: int
    robust: Share
    success: Share | None
    lost: PairedDifference | None = None
    official: bool = False


@dataclass(frozen=True)
class Transfer:
    """The variants of one attack on one task, the official one first. tier: FLOP per example."""

    task: str
    attack: str
    tier: float
    variants: tuple[Variant, ...]

    @property
    def lengths(self) -> bool:
        """Whether variants differ in length."""
        return len({variant.length for variant in self.variants}) > 1

    @property
    def examples(self) -> bool:
        """Whether variants differ in how many examples were attacked."""
        return len({variant.examples for variant in self.variants}) > 1

    @property
    def paired(self) -> bool:
        """Whether there are differences on the same examples."""
        return any(variant.lost for variant in self.variants)


def transfers_of(entry: Entry, task: str, standings: Mapping[tuple[str, str], Standing], tier: float) -> list[Transfer]:
    """A table for every attack that was run in several variants on a task. tier: FLOP per example, the largest."""
    groups: dict[str, list[Key]] = {}
    for key in sorted((*entry.results, *entry.curves)):
        if key.task == task:
            groups.setdefault(_name(entry, key), []).append(key)
    return [_transfer(entry, task, attack, keys, standings, tier) for attack, keys in groups.items() if len(keys) > 1]


def _transfer(
    entry: Entry, task: str, attack: str, keys: list[Key], standings: Mapping[tuple[str, str], Standing], tier: float
) -> Transfer:
    reach = min(_standing(standings, key).reach for key in keys)
    # Where not even the smallest tier was reached, what there is at the one asked for are bounds.
    tier = max((each for each in TIERS if each <= min(tier, reach)), default=tier)
    return Transfer(task, attack, tier, tuple(_variants(entry, _in_order(entry, keys), standings, tier)))


def _variants(
    entry: Entry, keys: list[Key], standings: Mapping[tuple[str, str], Standing], tier: float
) -> Iterator[Variant]:
    official = _standing(standings, keys[0]) if _is_official(entry, keys[0]) else None
    for key in keys:
        standing = _standing(standings, key)
        yield Variant(
            position=key.position,
            length=_length(entry, key),
            examples=standing.examples,
            robust=standing.at(tier),
            success=_success(standing, tier),
            lost=None if official is None or standing is official else _lost(official, standing, tier),
            official=standing is official,
        )


def _success(standing: Standing, tier: float) -> Share | None:
    """Broken among clean-correct examples; None where that is no one number, or not known at the tier."""
    if not isinstance(standing, Measured):
        return success_of(standing)
    right = standing.costs[standing.costs > 0]
    if not len(right) or tier > standing.reach:
        return None
    return Share.of(Proportion(int((right <= tier).sum()), len(right)))


def _lost(official: Standing, other: Standing, tier: float) -> PairedDifference | None:
    """Other minus official at a tier that both reached, on the same examples."""
    if not (isinstance(official, Measured) and isinstance(other, Measured)):
        return None
    if tier > min(official.reach, other.reach) or not same_examples(official.survival.records, other.survival.records):
        return None
    count = min(official.examples, other.examples)
    return paired_difference((official.costs > tier)[:count].tolist(), (other.costs > tier)[:count].tolist())


def _standing(standings: Mapping[tuple[str, str], Standing], key: Key) -> Standing:
    return standings[key.task, f"{key.attack}-{key.position}"]


def _name(entry: Entry, key: Key) -> str:
    return entry.results[key].attack.name if key in entry.results else key.attack


def _length(entry: Entry, key: Key) -> int | None:
    length = entry.results[key].attack.parameters.get("length") if key in entry.results else None
    return length if isinstance(length, int) else None


def _is_official(entry: Entry, key: Key) -> bool:
    """Whether it is an attack with its own length, where strings officially go."""
    return key.position == OFFICIAL_POSITION and key.attack == _name(entry, key)


def _in_order(entry: Entry, keys: list[Key]) -> list[Key]:
    """The official variant first, where there is one; of every position the attack's own length first."""

    def place(key: Key) -> tuple[int, str, bool, int]:
        number = POSITIONS.index(key.position) if key.position in POSITIONS else len(POSITIONS)
        return number, key.position, key.attack != _name(entry, key), _length(entry, key) or 0

    return sorted(keys, key=place)
