"""How much sooner two workers of a Ray cluster finish than one, each with one core.

    python docs/experiments/two_workers.py [--tokenizer DIR] [--again N]

GCG on a victim of the shape of Pythia-14m with random weights, which nothing breaks: the work is the model's. One
worker and two take turns on the same examples, timed from when all are ready; and as what the machine itself allows,
large matrix products in one process, and in two at once. Written to two_workers.json.
"""

import argparse
import json
import time
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from throughput import matrix_rate

from holdfast.benchmark import get_attack
from holdfast.benchmark.executor import Job
from holdfast.benchmark.machine import device_name
from holdfast.benchmark.outcome import Record
from holdfast.benchmark.ray_cluster import Team, cluster
from holdfast.benchmark.ray_executor import RayHost
from holdfast.benchmark.ray_worker import Source
from holdfast.benchmark.stand_in import load_shape, prompts, save_shape
from holdfast.tasks import get_task

OUTPUT = Path(__file__).with_suffix(".json")
SHAPE = "14m"
TOKENS = 60
EXAMPLES = 64
BUDGET = 1.2e12


def attacked(folder: Path, workers: int) -> tuple[float, list[Record]]:
    """Seconds and records of a run by so many workers."""
    task = get_task("password-match")
    examples = prompts(load_shape(folder, "cpu", None), TOKENS, EXAMPLES)
    source = Source.of(load_shape, str(folder), device="cpu")
    with RayHost(source, Team(workers, 0.0, 1)) as host:
        executor = host.executor(task)
        while not all(seat.idle for seat in host.seats):
            host.news()
        started = time.perf_counter()
        job = Job(task.name, get_attack("gcg"), "suffix", BUDGET, 0)
        records = list(executor.attack(job, examples, None).records())
        return time.perf_counter() - started, sorted(records, key=lambda record: record.example_id)


def product_rate(_: int) -> float:
    """FLOP per second of large products on one thread."""
    torch.set_num_threads(1)
    return matrix_rate(torch.device("cpu"), torch.float32)


def product_rates(processes: int) -> list[float]:
    """The same in each of several processes at once."""
    with get_context("spawn").Pool(processes) as pool:
        return pool.map(product_rate, range(processes), chunksize=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--tokenizer", type=Path, help="the folder of a tokenizer, such as Pythia's")
    parser.add_argument("--again", type=int, default=3, help="times that each is measured")
    asked = parser.parse_args()
    seconds: dict[int, list[float]] = {1: [], 2: []}
    rates: dict[int, list[float]] = {1: [], 2: []}
    with TemporaryDirectory() as folder, cluster(None):
        save_shape(SHAPE, asked.tokenizer, Path(folder))
        found: list[list[Record]] = []
        for _ in range(asked.again):
            for workers in seconds:
                rates[workers].append(sum(product_rates(workers)))
                took, records = attacked(Path(folder), workers)
                seconds[workers].append(took)
                found.append(records)
                print(f"{workers} at work: {took:.1f} s; products {rates[workers][-1]:.3g} FLOP/s", flush=True)
    # Which strings came closest may differ where candidates are looked over in bfloat16.
    held = [[(record.example_id, record.break_cost, record.cost) for record in records] for records in found]
    assert all(records == held[0] for records in held), "workers found something else"
    measured = {
        "device": device_name(torch.device("cpu")),
        "examples": EXAMPLES,
        "budget": BUDGET,
        "seconds": {workers: [round(each, 2) for each in times] for workers, times in seconds.items()},
        "share_of_time": round(median(seconds[2]) / median(seconds[1]), 3),
        "matrix_rates": rates,
        "share_of_time_of_products": round(median(rates[1]) / median(rates[2]), 3),
    }
    OUTPUT.write_text(json.dumps(measured, indent=1) + "\n")
    print(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
