"""How fast an accelerator attacks, and which share of its matrix rate that is; or a CPU, where there is none.

    python docs/experiments/throughput.py [--shapes 14m 70m 410m 1b 6.9b] [--tokenizer FOLDER] [--out FILE]
    python docs/experiments/throughput.py --table        # writes what was measured of a CPU into docs/performance.md

For victims of Pythia's shapes, at prompts of 60 and 300 tokens and by every official attack, in the device's default
precision: candidates per second, FLOP per second really executed, where the time goes; and how many FLOP per second a
plain loop of large matrix products reaches. Written to throughput-DEVICE.json beside this file, from which
docs/experiments/scaling.py predicts scores (docs/scaling.md).

Nothing is downloaded: weights are random, and without --tokenizer (the folder of Pythia's) one is made of a word list.
Needs holdfast (offline: pip install --no-deps --no-build-isolation -e .), torch, transformers, accelerate, numpy,
scipy and psutil; not pydantic, datasets or pyarrow. A shape needs 6 bytes of the device's memory per parameter.
On a CPU with one thread (OMP_NUM_THREADS=1) seconds are CPU seconds, which other work on the machine disturbs less.
"""

import argparse
import json
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from holdfast.benchmark import OFFICIAL_ATTACKS, Engine, Victim, get_attack
from holdfast.benchmark.machine import device_name, peak_memory, release_memory, software_versions
from holdfast.benchmark.model_shape import PYTHIA
from holdfast.benchmark.proposal import proposal_for
from holdfast.benchmark.slot import prepare_slot
from holdfast.benchmark.stand_in import load_shape, prompts, save_shape
from holdfast.benchmark.victim import find_device
from holdfast.tasks import HoldfastError, UsageError

PROMPTS = (60, 300)
OF_A_CPU = {
    "in float32": Path(__file__).with_name("throughput-cpu.json"),
    "as scored": Path(__file__).with_name("throughput-cpu-bfloat16.json"),
}
"""What docs/performance.md shows, on the shape of 14m: with --plain, and without."""
ROUNDS = 6
"""Rounds before anything is timed, where they do not take too long; attacks that score ahead reach their full width in
five.
"""
UNLIMITED = 1e30
"""FLOP per example that no measurement spends."""


@dataclass(frozen=True)
class Measured:
    """One attack on one shape. tokens, prefix, tail: of the texts, with a string; the tail begins with it.

    seconds: that `candidates` took, by where they went. executed: FLOP in that time.
    """

    shape: str
    parameters: int
    tokens: int
    prefix: int
    tail: int
    attack: str
    candidates: int
    executed: float
    seconds: dict[str, float]
    candidates_per_second: float
    executed_flop_per_second: float
    share_of_matrix_rate: float
    passes: str
    batch_size: int
    peak_memory: int


def measure(
    shape: str,
    victim: Victim,
    attack_name: str,
    tokens: int,
    *,
    examples: int,
    seconds: float,
    matrix_rate: float,
    look_over: bool | None = None,
) -> Measured:
    """Attack for so many seconds, once the batch size is found or was searched for three times as long.

    Raises: UsageError where an example does not hold.
    """
    attack = get_attack(attack_name)
    texts = prompts(victim, tokens, examples)
    proposal = proposal_for(attack, victim, lambda: [text.text() for text in texts])
    engine = Engine(victim, attack, budget=UNLIMITED, proposal=proposal, look_over=look_over)
    rounds = engine.rounds(texts)
    started = time.perf_counter()
    for number, finished in enumerate(rounds, start=1):
        if finished:
            raise UsageError(f"An example of the shape {shape} was broken or answered wrongly; its time says nothing.")
        settled = number >= ROUNDS and engine.batch.next_rows == engine.batch.rows
        if settled or (number > 1 and time.perf_counter() - started > 3 * seconds):
            break
    clock = clock_of(victim.device)
    candidates, executed, before, begun = engine.candidates, engine.executed, engine.stopwatch.seconds(), clock()
    while clock() - begun < seconds:
        next(rounds)
    total, after = clock() - begun, engine.stopwatch.seconds()
    passed = {part: after[part] - before[part] for part in after}
    spent = {part: value * total / sum(passed.values()) for part, value in passed.items()}
    done, flop = engine.candidates - candidates, engine.executed - executed
    slot = prepare_slot(texts[-1], victim.vocabulary, attack.length, victim.context)
    return Measured(
        shape=shape,
        parameters=victim.parameters,
        tokens=slot.tokens,
        prefix=len(slot.prefix),
        tail=slot.tokens - len(slot.prefix),
        attack=attack_name,
        candidates=done,
        executed=flop,
        seconds={part: round(value, 4) for part, value in spent.items()},
        candidates_per_second=round(done / total, 1),
        executed_flop_per_second=flop / total,
        share_of_matrix_rate=round(flop / total / matrix_rate, 4),
        passes=engine.scorer.name,
        batch_size=engine.batch.rows,
        peak_memory=peak_memory(victim.device),
    )


def clock_of(device: torch.device) -> Callable[[], float]:
    """What seconds are measured by."""
    return time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP per second of large square matrix products: the median over two seconds."""
    card = device.type == "cuda"
    size, at_once = (8192, 10) if card else (2048, 1)
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    for _ in range(3):
        left @ right
    clock, rates = clock_of(device), list[float]()
    begun = clock()
    while len(rates) < 5 or clock() - begun < 2:
        if card:
            torch.cuda.synchronize(device)
        started = clock()
        for _ in range(at_once):
            left @ right
        if card:
            torch.cuda.synchronize(device)
        rates.append(at_once * 2 * size**3 / (clock() - started))
    return sorted(rates)[len(rates) // 2]


def measure_all(asked: argparse.Namespace) -> dict[str, Any]:
    """What is written down of a device."""
    device = find_device(asked.device)
    report: dict[str, Any] = {
        "device": device_name(device),
        "date": datetime.now(UTC).date().isoformat(),
        "versions": software_versions(),
        "threads": torch.get_num_threads(),
        "memory": torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else None,
        "tokenizer": "Pythia's" if asked.tokenizer else "made of a word list",
        "float32_matrix_rate": matrix_rate(device, torch.float32),
        "measured": [],
    }
    for shape in asked.shapes:
        with tempfile.TemporaryDirectory() as folder:
            victim = load_shape(save_shape(shape, asked.tokenizer, Path(folder)), str(device), asked.dtype)
            if "matrix_rate" not in report:
                report["dtype"] = str(victim.dtype).removeprefix("torch.")
                report["matrix_rate"] = matrix_rate(device, victim.dtype)
            for tokens in asked.prompts:
                for attack in asked.attacks:
                    found = measure(
                        shape,
                        victim,
                        attack,
                        tokens,
                        examples=asked.examples or (512 if device.type == "cuda" else 8),
                        seconds=asked.seconds,
                        matrix_rate=report["matrix_rate"],
                        look_over=False if asked.plain else None,
                    )
                    report["measured"].append(asdict(found))
                    print(
                        f"{shape:>5} {tokens:4} tokens  {attack:12} {found.candidates_per_second:>11,.0f} in a second, "
                        f"{found.share_of_matrix_rate:.1%} of {report['matrix_rate']:.2e} FLOP/s",
                        flush=True,
                    )
            # The next one may need all the memory.
            del victim
            release_memory()
    return report


def tables() -> dict[str, str]:
    """Markdown by the headings of docs/performance.md: candidates per second, and the model's share of the time."""
    rows: dict[tuple[str, int], dict[str, tuple[float, float]]] = {}
    for way, report in OF_A_CPU.items():
        for each in json.loads(report.read_text(encoding="utf-8"))["measured"]:
            share = each["seconds"]["model"] / sum(each["seconds"].values())
            row = rows.setdefault((f"{each['shape']} {way}", each["tokens"]), {})
            row[each["attack"]] = each["candidates_per_second"], share
    lines = [
        "| shape | prompt | " + " | ".join(f"`{attack}`" for attack in OFFICIAL_ATTACKS) + " |",
        "|---|---:|" + "---:|" * len(OFFICIAL_ATTACKS),
    ]
    rates, shares = lines.copy(), lines.copy()
    for (name, tokens), row in rows.items():
        found = [row[attack] for attack in OFFICIAL_ATTACKS]
        rates.append(f"| {name} | {tokens} tokens | " + " | ".join(f"{rate:,.0f}" for rate, _ in found) + " |")
        shares.append(f"| {name} | {tokens} tokens | " + " | ".join(f"{share:.0%}" for _, share in found) + " |")
    return {
        heading: "".join(f"{line}\n" for line in table)
        for heading, table in (("What it reaches", rates), ("Where the time goes", shares))
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shapes", nargs="+", choices=PYTHIA, default=["14m", "70m", "410m", "1b", "6.9b"])
    parser.add_argument("--prompts", nargs="+", type=int, default=PROMPTS, help="lengths in tokens")
    parser.add_argument("--attacks", nargs="+", default=OFFICIAL_ATTACKS)
    parser.add_argument("--tokenizer", type=Path, help="the folder of a tokenizer")
    parser.add_argument("--device", help="a torch device; a card where there is one")
    parser.add_argument("--dtype", help="float32, bfloat16 or float16; by default as holdfast score chooses")
    parser.add_argument("--plain", action="store_true", help="without a rough look in bfloat16, where there is one")
    parser.add_argument("--examples", type=int, help="512 on a card, 8 on a CPU: enough to fill its batches")
    parser.add_argument("--seconds", type=float, default=10.0, help="of every measurement")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", action="store_true", help="write what was measured of a CPU into performance.md")
    asked = parser.parse_args()
    if asked.table:
        from pages import write_tables

        write_tables(Path(__file__).resolve().parents[1] / "performance.md", tables())
        return
    try:
        report = measure_all(asked)
    except HoldfastError as error:
        parser.exit(error.exit_code, f"{error}\n")
    kind = "cpu" if report["memory"] is None else re.sub(r"[^a-z0-9]+", "-", report["device"].lower()).strip("-")
    out = asked.out or Path(__file__).with_name(f"throughput-{kind}.json")
    out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"Written to {out}")


if __name__ == "__main__":
    main()
