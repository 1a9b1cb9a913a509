"""`holdfast train`: make a checkpoint for a task: undefended, adversarially trained, or a language model."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ..tasks import UsageError, get_task, task_names
from .options import Device, Mirror, Seed
from .terminal import duration, err, out

if TYPE_CHECKING:
    from ..submissions.recipes import TrainingProgress, TrainingRecord

Settings = TypeVar("Settings")


def train(
    task: Annotated[str, typer.Option("--task", "-t", help="Task to train for.", autocompletion=task_names)],
    folder: Annotated[Path, typer.Option("--out", "-o", help="New folder for the checkpoint.")],
    recipe: Annotated[
        Literal["standard", "adversarial", "language-model"],
        typer.Option(
            "--recipe",
            help="standard: random tokens in the slot; adversarial: rounds of GCG on top of it; language-model: one "
            "that answers in words.",
        ),
    ] = "standard",
    base: Annotated[
        str | None,
        typer.Option(
            "--base", help="Checkpoint to start from, a folder or owner/name@commit.", show_default="from scratch"
        ),
    ] = None,
    tokenizer_of: Annotated[
        str | None,
        typer.Option(
            "--tokenizer-of",
            help="From scratch: checkpoint to take the tokenizer of, named as --base.",
            show_default="a new one",
        ),
    ] = None,
    layers: Annotated[int | None, typer.Option(help="From scratch: layers.")] = None,
    width: Annotated[int | None, typer.Option(help="From scratch: width of the residual stream.")] = None,
    heads: Annotated[int | None, typer.Option(help="From scratch: attention heads.")] = None,
    vocabulary: Annotated[int | None, typer.Option(help="From scratch: tokens of the tokenizer.")] = None,
    examples: Annotated[int | None, typer.Option(help="Training examples.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Before any rounds: passes over the examples.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Texts per training step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Before any rounds: peak learning rate.")] = None,
    filled: Annotated[float | None, typer.Option(help="Share of slots that random tokens are put into.")] = None,
    context: Annotated[int | None, typer.Option(help="Longest text to train on, in tokens.")] = None,
    rounds: Annotated[int | None, typer.Option(help="Adversarial stage: rounds of attack and training.")] = None,
    attacked: Annotated[int | None, typer.Option(help="Adversarial stage: examples attacked per round.")] = None,
    iterations: Annotated[int | None, typer.Option(help="Adversarial stage: GCG iterations per example.")] = None,
    candidates: Annotated[int | None, typer.Option(help="Adversarial stage: GCG candidates per iteration.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Adversarial stage: GCG's top-k.")] = None,
    steps: Annotated[int | None, typer.Option(help="Adversarial stage: training steps per round.")] = None,
    mix: Annotated[float | None, typer.Option(help="Adversarial stage: share of broken examples in the steps.")] = None,
    round_learning_rate: Annotated[
        float | None, typer.Option(help="Adversarial stage: peak learning rate of a round.")
    ] = None,
    seed: Seed = 0,
    device: Device = None,
    mirror: Mirror = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the training record as JSON.")] = False,
) -> None:
    """Train a classifier or language model for a task; training compute is metered and written beside it.

    Settings that are not given are the task's own, made to train in minutes on two CPU cores.
    """
    from ..submissions.recipes import defaults_for
    from ..submissions.recipes import train as run_training

    if tokenizer_of is not None and vocabulary is not None:
        raise UsageError(f"The tokenizer of {tokenizer_of} has as many tokens as it has; leave out --vocabulary.")
    chosen = get_task(task)
    defaults = defaults_for(chosen)
    shape = _changed(defaults.shape, layers=layers, width=width, heads=heads, vocabulary=vocabulary, context=context)
    standard = _changed(
        defaults.standard,
        examples=examples,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        filled=filled,
        context=context,
    )
    adversarial = _changed(
        defaults.adversarial,
        rounds=rounds,
        attacked=attacked,
        iterations=iterations,
        candidates=candidates,
        top_k=top_k,
        steps=steps,
        mix=mix,
        learning_rate=round_learning_rate,
    )
    # A base brings its own shape; only the context may be given with it.
    own_shape = base is None or any(value is not None for value in (layers, width, heads, vocabulary))
    with _Bars() as bars:
        record = run_training(
            chosen,
            folder,
            recipe=recipe,
            base=base,
            tokenizer_of=tokenizer_of,
            shape=shape if own_shape else None,
            standard=standard,
            adversarial=adversarial,
            seed=seed,
            mirror=mirror,
            device=device,
            on_progress=bars.report,
            command=shlex.join(["holdfast", *sys.argv[1:]]),
        )
    if as_json:
        out.print_json(record.model_dump_json())
    else:
        _print(record, folder)


def _changed(settings: Settings, **given: float | None) -> Settings:
    """Settings with those replaced that the user gave."""
    return replace(settings, **{name: value for name, value in given.items() if value is not None})  # type: ignore[type-var]


def _print(record: "TrainingRecord", folder: Path) -> None:
    compute = record.compute
    out.print(
        f"{record.parameters:,} parameters; clean accuracy {record.clean_accuracy:.1%} on {record.held_out} "
        "training examples kept aside"
    )
    for one in record.rounds:
        out.print(
            f"  round {one.number}: {one.attack_success:.0%} of {one.attacked} broken before, "
            f"clean accuracy {one.clean_accuracy:.1%} after"
        )
    out.print(f"compute: fine-tuning {compute.fine_tuning:.2e} FLOP, defence {compute.defence:.2e} FLOP")
    out.print(f"Done in {duration(record.seconds)}. The checkpoint is in {folder}", markup=False, soft_wrap=True)


class _Bars:
    """A bar per stage of training, where there is a terminal."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=err,
            transient=True,
            disable=not err.is_terminal,
        )
        self._stage: str | None = None

    def __enter__(self) -> "_Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def report(self, now: "TrainingProgress") -> None:
        stage = f"round {now.round}: {now.stage}" if now.round else f"{now.stage} training"
        if stage != self._stage:
            self._stage = stage
            self._task = self._progress.add_task(stage, total=now.total, note="")
        note = "" if now.loss is None else f"loss {now.loss:.3f}"
        self._progress.update(self._task, completed=now.done, total=now.total, note=note)
