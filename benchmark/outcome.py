"""What a run yields: a record per finished example, and where the run stands."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Record:
    """What happened to one example.

    clean_correct: whether the victim is right without an attack string; only then is the example attacked.
    break_cost: canonical FLOP at the end of the iteration that broke it; None if it held for the whole budget.
    cost, iterations: what was spent in all. tokens: T of the text with an attack string in it.
    attack_string, attack_tokens, attack_logits: of the string that broke it, else of the best one; None if none was
    scored.
    """

    example_id: str
    label: int
    clean_correct: bool
    truncated: bool
    tokens: int
    break_cost: int | None
    cost: int
    iterations: int
    clean_logits: tuple[float, float]
    attack_string: str | None = None
    attack_tokens: tuple[int, ...] | None = None
    attack_logits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Progress:
    """Where a run stands. spent: share of the largest possible canonical cost that is spent or no longer needed."""

    done: int
    total: int
    broken: int
    wrong: int
    candidates: int
    spent: float


@dataclass
class Tally:
    """Counts for the progress display."""

    total: int
    budget: float
    done: int = 0
    broken: int = 0
    wrong: int = 0

    def count(self, record: Record) -> None:
        self.done += 1
        self.broken += record.break_cost is not None
        self.wrong += not record.clean_correct

    def progress(self, candidates: int, cost_in_lanes: float) -> Progress:
        spent = (self.done + cost_in_lanes / self.budget) / self.total
        return Progress(self.done, self.total, self.broken, self.wrong, candidates, spent)
