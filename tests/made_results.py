"""Results made by hand: what a score would have written, for tests of what is derived from results."""

from collections.abc import Sequence

from holdfast.benchmark import OFFICIAL_ATTACKS, Result, get_attack
from holdfast.benchmark.attacks import attack_parameters

HELD = None
WRONG = "wrong"

Outcomes = Sequence[int | str | None]


def made(
    outcomes: Outcomes,
    *,
    task: str = "imdb",
    attack: str = "gcg",
    budget: float = 4e12,
    victim: str = "0",
    version: int = 1,
    digest: str = "0",
    parameters: dict[str, int | float | str | bool] | None = None,
    first: int = 0,
    tokens: int = 50,
    victim_parameters: int = 1_000_000,
) -> Result:
    """A result with an example per outcome: the break cost, HELD, or WRONG when clean. first: number of the first."""
    if parameters is None:
        parameters = attack_parameters(get_attack(attack)) if attack in OFFICIAL_ATTACKS else {}
    records = [
        {
            "id": f"e{number}",
            "label": number % 2,
            "clean_correct": outcome != WRONG,
            "truncated": False,
            "tokens": tokens,
            "break_cost": outcome if isinstance(outcome, int) else None,
            "cost": 0,
            "iterations": 0,
        }
        for number, outcome in enumerate(outcomes, start=first)
    ]
    correct = sum(record["clean_correct"] for record in records)
    broken = sum(record["break_cost"] is not None for record in records)
    return Result.model_validate(
        {
            "task": {"name": task, "version": version, "digest": digest * 64, "official": True},
            "attack": {"name": attack, "position": "suffix", "parameters": parameters},
            "victim": {
                "reference": "a/victim",
                "revision": None,
                "digest": victim * 64,
                "architecture": "gpt2",
                "parameters": victim_parameters,
                "context": 100,
                "dtype": "float32",
            },
            "seed": 0,
            "profile": "custom",
            "budget": budget,
            "summary": {
                "examples": max(1, len(records)),
                "clean_correct": correct,
                "clean_accuracy": correct / max(1, len(records)),
                "broken": broken,
                "attack_success_rate": broken / correct if correct else None,
                "truncated": 0,
            },
            "records": records,
            "flags": [],
            "trace_sha256": "0" * 64,
            "run": {
                "versions": {},
                "device": "cpu",
                "threads": 1,
                "finished": "2026-01-01T00:00:00+00:00",
                "seconds": {"total": 0, "model": 0, "tokenization": 0, "rest": 0},
                "canonical_flop": 0,
                "executed_flop": 0,
                "candidates": 0,
                "passes": "full text",
                "batch_size": 1,
                "peak_memory": 0,
            },
        }
    )
