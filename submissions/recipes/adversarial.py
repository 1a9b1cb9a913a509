"""Adversarial training in rounds: attack the model as it is, train on what broke it, and again.

[Madry et al. 2018, arXiv 1706.06083; Howe et al. 2024, arXiv 2407.18213]. Every round attacks training examples with
GCG, through the engine that scores submissions. The strings that broke the model join a pool that grows from round to
round; the model is then trained on a mix of pool examples and of ordinary ones with random slots, so that it forgets
neither the earlier rounds nor the task.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...benchmark.attacks.gcg import GCG
from ...benchmark.budget import cost_of_iteration
from ...benchmark.engine import Engine
from ...benchmark.outcome import Progress, Record
from ...benchmark.victim import Victim
from ...tasks import Example
from .batches import Case
from .standard import positive, share


@dataclass(frozen=True)
class AdversarialSettings:
    """rounds: of attack and training. attacked: examples attacked per round.

    iterations, candidates, top_k: of GCG; it is examples of average length that get so many iterations, as all have the
    same budget in FLOP.
    steps: training steps per round. mix: share of pool examples in them; half of those are the round's own.
    """

    rounds: int = 20
    attacked: int = 200
    iterations: int = 20
    candidates: int = 64
    top_k: int = 256
    steps: int = 400
    mix: float = 0.5
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        positive(self, "rounds", "attacked", "iterations", "candidates", "top_k", "steps", "learning_rate")
        share(self, "mix")


def attack_round(
    victim: Victim,
    examples: Sequence[Example],
    settings: AdversarialSettings,
    *,
    seed: int,
    task: str,
    on_progress: Callable[[Progress], None],
) -> list[Record]:
    """Attack examples with about `settings.iterations` iterations of GCG each; their records, in order."""
    attack = GCG(candidates=settings.candidates, top_k=settings.top_k)
    backend = victim.tokenizer.backend_tokenizer
    encoded = backend.encode_batch_fast([example.text() for example in examples], add_special_tokens=True)
    tokens = sum(len(encoding.ids) for encoding in encoded) / len(encoded) + attack.length
    budget = settings.iterations * cost_of_iteration(
        victim.parameters, round(tokens + 0.5), attack.candidates, gradient=True
    )
    engine = Engine(victim, attack, budget=budget, seed=seed, task=task, on_progress=on_progress)
    records = {record.example_id: record for record in engine.run(examples)}
    return [records[example.id] for example in examples]


class Pool:
    """Examples with the strings that broke a model, round by round."""

    def __init__(self) -> None:
        self._rounds: list[list[Case]] = []

    def __len__(self) -> int:
        return sum(map(len, self._rounds))

    def add(self, examples: Sequence[Example], records: Sequence[Record]) -> None:
        """Add the broken ones of a round."""
        self._rounds.append(
            [
                Case(example, record.attack_string)
                for example, record in zip(examples, records, strict=True)
                if record.break_cost is not None
            ]
        )

    def draw(self, count: int, rng: np.random.Generator) -> list[Case]:
        """`count` cases with replacement, half of them of the last round (where it broke any)."""
        everything = [case for broken in self._rounds for case in broken]
        if not everything:
            return []
        latest = self._rounds[-1] or everything
        recent = count // 2
        return [latest[i] for i in rng.integers(len(latest), size=recent)] + [
            everything[i] for i in rng.integers(len(everything), size=count - recent)
        ]


def mixed(examples: Sequence[Example], pool: Pool, count: int, mix: float, rng: np.random.Generator) -> list[Case]:
    """`count` cases to train a round on: a share of `mix` from the pool, the others ordinary ones with random slots."""
    broken = pool.draw(int(mix * count), rng)
    return broken + [Case(examples[i]) for i in rng.integers(len(examples), size=count - len(broken))]
