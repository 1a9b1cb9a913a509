"""How fast the engine is: candidates and iterations per second on Pythia's shapes, and where the time goes.

Run by `make bench`; see docs/performance.md. HOLDFAST_BENCH narrows it down or moves it, as in
`HOLDFAST_BENCH="shapes=14m,70m prompts=60,300 device=cuda dtype=bfloat16" make bench`. The batch size is fixed, as one
that is searched for may come out otherwise in the next run.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from holdfast.benchmark import Victim, get_attack
from holdfast.benchmark.budget import cost_of_iteration
from holdfast.benchmark.engine import Engine
from holdfast.benchmark.machine import device_name
from holdfast.benchmark.proposal import proposal_for
from holdfast.benchmark.stand_in import load_shape, prompts, save_shape

ASKED = dict(part.split("=", 1) for part in os.environ.get("HOLDFAST_BENCH", "").split())
SHAPES = ASKED.get("shapes", "14m,70m").split(",")
PROMPTS = [int(length) for length in ASKED.get("prompts", "60,300,1000").split(",")]
DEVICE = ASKED.get("device", "cpu")
DTYPE = ASKED.get("dtype")
EXAMPLES = int(ASKED.get("examples", "8"))
ITERATIONS = {"gcg": 2, "beast": 2, "random_token": 256}
ROUNDS = int(ASKED.get("rounds", "8"))
BATCH_SIZE = int(ASKED.get("batch_size", "1024" if DEVICE.startswith("cuda") else "128"))


@dataclass(frozen=True)
class Run:
    """One attack on all examples. executed: FLOP. seconds: by where they went. rows: sequences per pass at the end.

    passes: how the victim was run.
    """

    candidates: int
    iterations: int
    executed: float
    seconds: dict[str, float]
    rows: int
    passes: str


@pytest.fixture(scope="module")
def victim_of(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Victim]:
    tokenizer = mirror / "models" / "EleutherAI" / "pythia-14m"
    if not (tokenizer / "tokenizer.json").is_file():
        pytest.skip("needs Pythia's tokenizer in the mirror of the Hub")
    loaded: dict[str, Victim] = {}

    def load(shape: str) -> Victim:
        if shape not in loaded:
            # One at a time, as the large ones fill the memory.
            loaded.clear()
            folder = save_shape(shape, tokenizer, tmp_path_factory.mktemp(shape))
            loaded[shape] = load_shape(folder, DEVICE, DTYPE)
        return loaded[shape]

    return load


@pytest.mark.parametrize("attack_name", ["gcg", "random_token", "beast"])
@pytest.mark.parametrize("length", PROMPTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_engine(
    benchmark: Any, victim_of: Callable[[str], Victim], shape: str, length: int, attack_name: str
) -> None:
    victim = victim_of(shape)
    attack = get_attack(attack_name)
    examples = prompts(victim, length, EXAMPLES)
    longest = max(len(victim.tokenizer(example.text())["input_ids"]) for example in examples) + attack.length + 4
    # So many iterations fit of the longest example, and of no other more.
    cost = cost_of_iteration(victim.parameters, longest, attack.candidates, gradient=attack.uses_gradient)
    budget = ITERATIONS[attack_name] * cost
    proposal = proposal_for(attack, victim, lambda: [example.text() for example in examples])
    runs: list[Run] = []

    def attack_all() -> None:
        engine = Engine(
            victim, attack, budget=budget, proposal=proposal, batch_size=runs[-1].rows if runs else BATCH_SIZE
        )
        records = list(engine.run(examples))
        assert all(record.clean_correct and record.break_cost is None for record in records)
        iterations = sum(record.iterations for record in records)
        seconds = engine.stopwatch.seconds()
        runs.append(Run(engine.candidates, iterations, engine.executed, seconds, engine.batch.rows, engine.scorer.name))

    # The first run, which is not timed, halves a batch that does not fit into memory.
    attack_all()
    benchmark.pedantic(attack_all, rounds=ROUNDS, iterations=1)
    timed = runs[1:]
    total = sum(sum(run.seconds.values()) for run in timed)
    benchmark.extra_info.update(
        conditions={
            "device": device_name(victim.device),
            "dtype": str(victim.dtype).removeprefix("torch."),
            "parameters": victim.parameters,
            "batch_size": runs[-1].rows,
            "examples": len(examples),
            "iterations": runs[-1].iterations,
            "candidates_per_iteration": attack.candidates,
            "passes": runs[-1].passes,
        },
        candidates_per_second=sum(run.candidates for run in timed) / total,
        iterations_per_second=sum(run.iterations for run in timed) / total,
        executed_flop_per_second=sum(run.executed for run in timed) / total,
        **{
            f"{part}_share": sum(run.seconds[part] for run in timed) / total
            for part in ("model", "tokenization", "rest")
        },
    )
