"""`train`: make a checkpoint for a task, from scratch or from another one, and write down how and at what cost."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from transformers import PreTrainedModel

from ...benchmark.victim import DTYPES, Victim, load_victim, one_thread_on_cpu
from ...tasks import Example, Task, UsageError
from .adversarial import AdversarialSettings, Pool, attack_round, mixed
from .batches import Case, Cases, shortened
from .checkpoint import new_folder, save_checkpoint
from .defaults import defaults_for
from .fitting import Fit, fit
from .language_model import room_for
from .shapes import Shape
from .standard import StandardSettings
from .start import Start, from_base, from_scratch
from .training_record import TRAINING_FILE, Recipe, Round, TrainingRecord, software

HELD_OUT = 200
"""Training examples kept aside to measure clean accuracy on; never evaluation examples."""
SMALL = 1_000_000
"""Parameters below which a second CPU thread costs more than it brings."""


@dataclass(frozen=True)
class TrainingProgress:
    """Where training stands. stage: `standard`, `language-model`, `attack` or `adversarial`, the last two with their
    round.

    done, total: training steps, or examples attacked. loss: mean since the last report. finished: the round just ended.
    """

    stage: Literal["standard", "language-model", "attack", "adversarial"]
    done: int
    total: int
    round: int = 0
    loss: float | None = None
    finished: Round | None = None


def train(
    task: Task,
    out: Path,
    *,
    recipe: Recipe = "standard",
    base: str | Path | None = None,
    tokenizer_of: str | Path | None = None,
    shape: Shape | None = None,
    standard: StandardSettings | None = None,
    adversarial: AdversarialSettings | None = None,
    seed: int = 0,
    weights_dtype: str | None = None,
    mirror: Path | None = None,
    device: str | None = None,
    on_progress: Callable[[TrainingProgress], None] | None = None,
    command: str | None = None,
) -> TrainingRecord:
    """Train a model for `task` and write it, with its tokenizer and `training.json`, to the new folder `out`.

    recipe: `standard`; `adversarial`, which goes on with rounds of attack and training; or `language-model`, whose
    model answers in label words and is one of the task's text besides.
    base: a checkpoint to start from, a folder or `owner/name@revision`; without one, a small model of the given shape
    is made from scratch. The adversarial recipe trains the standard stage first, unless the base is a classifier.
    tokenizer_of: a checkpoint, named likewise, whose tokenizer a model from scratch takes; else it gets one of its own.
    shape, standard, adversarial: settings; the task's defaults where left out.
    weights_dtype: of the file; float16 from scratch and the base's own otherwise, unless given.
    device: `cpu` or `cuda`; by default CUDA where there is a card.
    command: the command line to write down.

    Raises: UsageError for settings that cannot be, CheckpointError for a base that cannot be used, RecordError when
    `out` exists, DataError when the task's data cannot be had.
    """
    started = time.monotonic()
    defaults = defaults_for(task)
    if base is not None and shape is not None:
        raise UsageError("A shape is for training from scratch; leave it out, or leave out the base.")
    if base is not None and tokenizer_of is not None:
        raise UsageError("A base brings its tokenizer; leave out the base, or the checkpoint to take one from.")
    if weights_dtype is not None and weights_dtype not in DTYPES:
        raise UsageError(f"There is no dtype '{weights_dtype}'; choose one of {', '.join(DTYPES)}.")
    place = _device(device)
    report = on_progress or (lambda progress: None)
    standard, adversarial = standard or defaults.standard, adversarial or defaults.adversarial
    if base is None:
        shape = shape or defaults.shape
    with new_folder(out) as folder:
        examples, held_out = _examples(task, standard, seed, mirror)
        words = task.labels if recipe == "language-model" else None
        labels = task.labels if words is None else None
        if shape is not None:
            start = from_scratch(shape, labels, examples, tokenizer_of, seed, weights_dtype)
        else:
            assert base is not None
            start = from_base(base, labels, seed, weights_dtype)
        with _threads(start.model, place):
            bench = _Bench(start, folder, place, task)
            context = min(bench.victim.context, standard.context)
            if words is not None:
                context -= room_for(words, start.tokenizer)
            examples = shortened(examples, start.tokenizer, context)
            held_out = shortened(held_out, start.tokenizer, context)
            spent, rounds = start.spent, []
            fits = recipe != "adversarial" or not start.whole
            if fits:
                stage = "standard" if words is None else "language-model"
                cases = Cases([Case(example) for example in examples])
                how = Fit(standard.epochs, standard.batch_size, standard.learning_rate, standard.filled, seed, place)
                cost = bench.fit(
                    cases, how, lambda step, steps, loss: report(TrainingProgress(stage, step, steps, loss=loss)), words
                )
                spent = spent.model_copy(update={"fine_tuning": spent.fine_tuning + cost})
            if recipe == "adversarial":
                rounds = _rounds(bench, task, examples, held_out, standard, adversarial, seed, report)
                cost = sum(one.attack_compute + one.training_compute for one in rounds)
                spent = spent.model_copy(update={"defence": spent.defence + cost})
            record = TrainingRecord(
                command=command,
                task=task.name,
                task_version=task.version,
                recipe=recipe,
                base=None if base is None else str(base),
                base_revision=start.revision,
                tokenizer_of=None if tokenizer_of is None else str(tokenizer_of),
                seed=seed,
                shape=None if shape is None else asdict(shape),
                standard=asdict(standard) if fits else None,
                adversarial=asdict(adversarial) if recipe == "adversarial" else None,
                parameters=bench.victim.parameters,
                weights_dtype=str(start.dtype).removeprefix("torch."),
                digest=bench.victim.digest,
                compute=spent,
                clean_accuracy=clean_accuracy(bench.victim, held_out),
                held_out=len(held_out),
                rounds=rounds,
                device=place,
                threads=torch.get_num_threads(),
                seconds=round(time.monotonic() - started, 1),
                software=software(),
            )
        (folder / TRAINING_FILE).write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return record


def clean_accuracy(victim: Victim, examples: Sequence[Example]) -> float:
    """Share of examples that the victim's public path gets right with an empty slot."""
    return sum(victim.classify(example.text()) == example.label for example in examples) / len(examples)


class _Bench:
    """The model in training, and beside it the victim that it would be if it were published now.

    victim: loaded from the folder after every stretch of training, so that what is attacked and measured is what is
    written: rounded to its dtype, and read back through the public path.
    """

    def __init__(self, start: Start, folder: Path, device: str, task: Task) -> None:
        self._start = start
        self._task = task
        self._folder = folder
        self.device = device
        self.victim = self._publish()
        self.vocabulary = self.victim.vocabulary

    def fit(
        self,
        cases: Cases,
        how: Fit,
        on_step: Callable[[int, int, float], None],
        words: tuple[str, str] | None = None,
    ) -> int:
        """Train on cases; returns the canonical FLOP. words: the label words of a language model."""
        cost = fit(self._start.model, self._start.tokenizer, self.vocabulary, cases, how, on_step, words)
        self.victim = self._publish()
        return cost

    def _publish(self) -> Victim:
        save_checkpoint(self._start.model, self._start.tokenizer, self._folder, self._start.dtype)
        return load_victim(self._folder, device=self.device).for_labels(self._task.labels)


def _rounds(
    bench: _Bench,
    task: Task,
    examples: Sequence[Example],
    held_out: Sequence[Example],
    standard: StandardSettings,
    settings: AdversarialSettings,
    seed: int,
    report: Callable[[TrainingProgress], None],
) -> list[Round]:
    """Attack and train by turns; the statistics of every round."""
    pool, rounds = Pool(), []
    for number, rng in enumerate(np.random.default_rng(seed).spawn(settings.rounds), start=1):
        started = time.monotonic()
        chosen = rng.choice(len(examples), size=min(settings.attacked, len(examples)), replace=False)
        targets = [examples[i] for i in chosen]
        records = attack_round(
            bench.victim,
            targets,
            settings,
            seed=int(rng.integers(2**31)),
            task=task.name,
            on_progress=lambda at, number=number: report(TrainingProgress("attack", at.done, at.total, number)),
        )
        pool.add(targets, records)
        cases = Cases(mixed(examples, pool, settings.steps * standard.batch_size, settings.mix, rng))
        how = Fit(
            1, standard.batch_size, settings.learning_rate, standard.filled, int(rng.integers(2**31)), bench.device
        )
        cost = bench.fit(
            cases,
            how,
            lambda step, steps, loss, number=number: report(
                TrainingProgress("adversarial", step, steps, number, loss=loss)
            ),
        )
        rounds.append(
            Round(
                number=number,
                attacked=sum(record.clean_correct for record in records),
                broken=sum(record.break_cost is not None for record in records),
                pool=len(pool),
                clean_accuracy=clean_accuracy(bench.victim, held_out),
                attack_compute=sum(record.cost for record in records),
                training_compute=cost,
                seconds=round(time.monotonic() - started, 1),
            )
        )
        report(TrainingProgress("adversarial", settings.steps, settings.steps, number, finished=rounds[-1]))
    return rounds


def _examples(
    task: Task, settings: StandardSettings, seed: int, mirror: Path | None
) -> tuple[list[Example], list[Example]]:
    """Training examples, and the held-out ones. Both come from the task's training split."""
    count = None if settings.examples is None else settings.examples + HELD_OUT
    examples = task.training(count, seed=seed, mirror=mirror)
    held_out = min(HELD_OUT, len(examples) // 5)
    return examples[held_out:], examples[:held_out]


def _device(device: str | None) -> str:
    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda") or (device == "cuda" and not torch.cuda.is_available()):
        raise UsageError(
            f"Training cannot run on the device '{device}' here; choose cpu, or cuda where there is a card."
        )
    return device


def _threads(model: PreTrainedModel, device: str) -> AbstractContextManager[None]:
    """One CPU thread for a small model, so that its training does not depend on the number of cores."""
    small = sum(parameter.numel() for parameter in model.parameters()) < SMALL
    return one_thread_on_cpu(torch.device(device)) if small else nullcontext()
