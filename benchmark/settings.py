"""How much is attacked, and where the files of a score lie. Needs no model."""

from dataclasses import dataclass
from pathlib import Path

from ..tasks import UsageError, get_task
from .budget import Profile, get_profile, parse_budget
from .position import OFFICIAL_POSITION, Position


@dataclass(frozen=True)
class Settings:
    """How much is attacked. examples: the first so many of the official order. budget: FLOP per example."""

    profile: str
    examples: int
    budget: float
    seed: int = 0

    @staticmethod
    def of(profile: Profile, *, examples: int | None = None, budget: float | None = None, seed: int = 0) -> "Settings":
        """A profile's settings; changed ones make the profile `custom`. Raises: UsageError for impossible ones."""
        if examples is not None and examples < 1:
            raise UsageError(f"The number of examples must be at least 1, not {examples}.")
        if seed < 0:
            raise UsageError(f"The seed must not be negative; it is {seed}.")
        chosen_examples, chosen_budget = examples or profile.examples, budget or profile.budget
        unchanged = (chosen_examples, chosen_budget) == (profile.examples, profile.budget)
        return Settings(profile.name if unchanged else "custom", chosen_examples, chosen_budget, seed)

    @staticmethod
    def asked(profile: str, examples: int | None, budget: str | None, seed: int) -> "Settings":
        """The same, as people write it: the profile's name, and the budget like 5ms. Raises: UsageError."""
        amount = None if budget is None else parse_budget(budget)
        return Settings.of(get_profile(profile), examples=examples, budget=amount, seed=seed)


TEXTS = 2000
"""Training examples of a task that an attack may learn from."""


def training_texts(task: str, mirror: Path | None = None) -> list[str]:
    """The first training texts of a task, without attack strings. Raises: UsageError, DataError."""
    return [example.text() for example in get_task(task).training(mirror=mirror)[:TEXTS]]


@dataclass(frozen=True)
class Files:
    """Where a score's files lie in a results folder."""

    result: Path
    trace: Path
    records: Path

    @staticmethod
    def of(out: Path, task: str, attack: str, position: Position = OFFICIAL_POSITION) -> "Files":
        """attack: as `variant_name` has it."""
        name = f"{attack}-{position}"
        return Files(
            out / "results" / task / f"{name}.json",
            out / "traces" / task / f"{name}.parquet",
            out / "records" / task / f"{name}.jsonl",
        )
