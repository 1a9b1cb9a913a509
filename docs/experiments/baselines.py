"""What the attacks broke of the baseline entries, by the results in the registry, as tables in two pages.

python docs/experiments/baselines.py
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pages import write_tables

from holdfast.benchmark import Result, format_gpu_time
from holdfast.submissions.entry import Key, load_entry
from holdfast.submissions.paired import paired_difference
from holdfast.tasks import OFFICIAL_TASKS

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = [f"holdfast-{size}-{defence}" for size in ("tiny", "wide") for defence in ("undefended", "adversarial")]
OTHERS = ("gcg_plus", "beast", "random_token")
TIERS = (4e10, 4e11, 4e12)
Found = dict[str, dict[str, Result]]
"""By checkpoint and attack: its result at the suffix."""


def found() -> Found:
    """The results of all checkpoints, task by task."""
    results: Found = {}
    entries = [load_entry(ROOT / "submissions" / "entries" / slug) for slug in ENTRIES]
    for task in OFFICIAL_TASKS:
        for entry in entries:
            for attack in ("gcg", *OTHERS):
                result = entry.results.get(Key(task, attack, "suffix"))
                if result:
                    results.setdefault(Path(result.victim.reference).name, {})[attack] = result
    return results


def held(results: Sequence[Result], tier: float) -> list[bool]:
    """Whether each example that is right when clean held at a tier, over several results."""
    return [
        record.break_cost is None or record.break_cost > tier
        for result in results
        for record in result.records
        if record.clean_correct
    ]


def by_checkpoint(results: Found) -> Iterator[str]:
    """Markdown: what every attack broke of each checkpoint at `lite`, and how likely chance makes such a difference
    from GCG.
    """
    yield "| checkpoint | right when clean | `gcg` | " + " | ".join(f"`{attack}` | p" for attack in OTHERS) + " |"
    yield "|---|" + "---:|" * (2 + 2 * len(OTHERS))
    for checkpoint, of in results.items():
        base = held([of["gcg"]], TIERS[-1])
        cells = []
        for attack in OTHERS:
            if attack not in of:
                cells += ["", ""]
                continue
            now = held([of[attack]], TIERS[-1])
            cells += [str(now.count(False)), chance(base, now)]
        yield f"| `{checkpoint}` | {len(base)} | {base.count(False)} | " + " | ".join(cells) + " |"


def by_task(results: Found) -> Iterator[str]:
    """Markdown: what GCG and gcg_plus broke at equal cost, where both were run."""
    yield "| task | right when clean | " + " | ".join(f"{format_gpu_time(tier)} | p" for tier in TIERS) + " |"
    yield "|---|---:|" + "---:|---:|" * len(TIERS)
    for task in OFFICIAL_TASKS:
        both = [
            (of["gcg"], of["gcg_plus"])
            for checkpoint, of in results.items()
            if checkpoint.startswith(f"{task}-") and "gcg_plus" in of
        ]
        cells = []
        for tier in TIERS:
            base, now = (held(side, tier) for side in zip(*both, strict=True))
            cells += [f"{base.count(False)}, {now.count(False)}", chance(base, now)]
        examples = len(held([base for base, _ in both], 0.0))
        yield f"| `{task}` | {examples} | " + " | ".join(cells) + " |"


def chance(base: list[bool], now: list[bool]) -> str:
    """The p-value of the exact McNemar test, two-sided."""
    return f"{paired_difference(base, now).p:.1g}"


def tables() -> dict[Path, dict[str, str]]:
    """By page and heading."""
    results = found()
    return {
        ROOT / "submissions" / "checkpoints" / "README.md": {"What came of it": _lines(by_checkpoint(results))},
        ROOT / "docs" / "stronger-gcg.md": {"On the examples of the entries": _lines(by_task(results))},
    }


def _lines(table: Iterator[str]) -> str:
    return "".join(f"{line}\n" for line in table)


if __name__ == "__main__":
    for page, of_page in tables().items():
        write_tables(page, of_page)
