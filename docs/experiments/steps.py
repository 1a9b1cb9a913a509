"""What each step of the engine is worth: GCG with all of them, and without each in turn.

    OMP_NUM_THREADS=1 python docs/experiments/steps.py --tokenizer FOLDER     # writes steps.json
    python docs/experiments/steps.py --table                                  # writes the table in docs/performance.md

On a victim of the shape of Pythia-14m at two lengths of prompts, which holds; FOLDER is that of Pythia's tokenizer.
Candidates are those that are charged for, per CPU second. The engine as it is and without a step take turns, so that
whatever else slows the machine down slows both; the median of the turns counts.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import torch
from pages import write_tables

import holdfast.benchmark.engine
import holdfast.benchmark.slot
from holdfast.benchmark import Engine, get_attack
from holdfast.benchmark.machine import device_name, software_versions
from holdfast.benchmark.pass_base import Passes
from holdfast.benchmark.passes import SharedPrefix, full_text
from holdfast.benchmark.screening import Scorer
from holdfast.benchmark.stand_in import load_shape, prompts, save_shape
from holdfast.tasks import Example

OUTPUT = Path(__file__).with_name("steps.json")
PAGE = Path(__file__).resolve().parents[1] / "performance.md"
PROMPTS = (60, 300)
EXAMPLES = 16
ROWS = 256
"""Sequences in a batch: fixed, so that both ways have the same."""
TURNS = 3
WARM = 1
"""Iterations before the clock starts."""


class Counting(Engine):
    """charged: candidates so far, those that were known included."""

    charged = 0

    def _score(self, lanes: Sequence[Any]) -> list[Any]:
        self.charged += sum(lane.proposed for lane in lanes)
        return super()._score(lanes)


@contextmanager
def by(passes: Passes, engine: Engine) -> Iterator[None]:
    with patch.object(engine, "passes", passes), patch.object(engine, "scorer", Scorer(passes, None, engine.batch)):
        yield


@contextmanager
def every_gradient(engine: Engine) -> Iterator[None]:
    """Gradients with respect to the weights too, as a backward pass through a model has them that was just loaded."""
    weights = list(engine.victim.model.parameters())
    grad = torch.autograd.grad
    for weight in weights:
        weight.requires_grad_(True)
    with patch("torch.autograd.grad", lambda loss, of: grad(loss, [of, *weights], allow_unused=True)[:1]):
        yield
    for weight in weights:
        weight.requires_grad_(False)


@contextmanager
def a_gradient_every_time(engine: Engine) -> Iterator[None]:
    take = engine._take_gradients

    def anew(lanes: Sequence[Any]) -> None:
        for lane in lanes:
            lane.search.gradient = None
        take(lanes)

    with patch.object(engine, "_take_gradients", anew):
        yield


def without(name: str, value: object) -> Callable[[Engine], AbstractContextManager[object]]:
    """Without what a part of the engine does."""
    return lambda engine: patch.object(engine, name, value)


STEPS: dict[str, Callable[[Engine], AbstractContextManager[object]]] = {
    "the clean prefix is run once, and shared": lambda engine: by(full_text(engine.victim), engine),
    "what candidates begin with is run once": without("_beginnings", lambda lane: None),
    "the last block is run for one token": lambda engine: by(SharedPrefix(engine.victim), engine),
    "gradients are of the string alone": every_gradient,
    "gradients are taken when the best string has changed": a_gradient_every_time,
    "survival is checked on a window of text": lambda engine: patch.object(holdfast.benchmark.slot, "WINDOWS", ()),
    "words are tokenized once": lambda engine: patch.object(engine.survival, "_by_word", False),
    "16 examples in lockstep": lambda engine: patch.object(holdfast.benchmark.engine, "lanes_for", lambda *_: 1),
    "no candidate twice": without("_remembers", False),
}
"""By what it does: the engine without it."""


def pace(engine: Counting, texts: Sequence[Example], seconds: float, step: str | None) -> float:
    """Candidates charged per CPU second. step: the one that is left out."""
    with STEPS[step](engine) if step else nullcontext():
        rounds = engine.rounds(texts)
        for _ in range(WARM):
            next(rounds)
        begun, before = time.process_time(), engine.charged
        while time.process_time() - begun < seconds:
            next(rounds)
        return (engine.charged - before) / (time.process_time() - begun)


def measure(tokenizer: Path | None, seconds: float, lengths: Sequence[int]) -> dict[str, Any]:
    measured: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        victim = load_shape(save_shape("14m", tokenizer, Path(folder)), "cpu", "float32")
        engine = Counting(victim, get_attack("gcg"), budget=1e30, batch_size=ROWS, look_over=False)
        for tokens in lengths:
            texts = prompts(victim, tokens, EXAMPLES)
            for step in STEPS:
                turns = [[pace(engine, texts, seconds, left_out) for left_out in (step, None)] for _ in range(TURNS)]
                pair = [round(median(side), 1) for side in zip(*turns, strict=True)]
                measured.setdefault(step, {})[str(tokens)] = pair
                print(f"{step}, {tokens} tokens: {pair[0]:,.0f} without it, {pair[1]:,.0f} with it", flush=True)
    return {
        "device": device_name(victim.device),
        "date": datetime.now(UTC).date().isoformat(),
        "versions": software_versions(),
        "threads": torch.get_num_threads(),
        "measured": measured,
    }


def table(report: dict[str, Any]) -> Iterator[str]:
    """Markdown: candidates charged per CPU second, without each step and with it."""
    lengths = list(next(iter(report["measured"].values())))
    yield "| step | " + " | ".join(f"{tokens} tokens: without | with | times" for tokens in lengths) + " |"
    yield "|---|" + "---:|---:|---:|" * len(lengths)
    for step, pairs in report["measured"].items():
        cells = [f"{before:,.0f} | {after:,.0f} | {after / before:.2f}" for before, after in pairs.values()]
        yield f"| {step} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--tokenizer", type=Path, help="the folder of a tokenizer")
    parser.add_argument("--seconds", type=float, default=6.0, help="of every measurement")
    parser.add_argument("--prompts", type=int, nargs="+", default=PROMPTS, help="tokens")
    parser.add_argument("--out", type=Path, default=OUTPUT)
    parser.add_argument("--table", action="store_true", help=f"write the results into docs/{PAGE.name}")
    asked = parser.parse_args()
    if asked.table:
        lines = table(json.loads(OUTPUT.read_text(encoding="utf-8")))
        write_tables(PAGE, {"What each step is worth": "".join(f"{line}\n" for line in lines)})
        return
    report = measure(asked.tokenizer, asked.seconds, asked.prompts)
    asked.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
