"""`holdfast sweep`: score several models on several tasks in one run, as a small file says."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ..tasks import HoldfastError, RecordError, Task, get_task
from .hosts import Where
from .options import (
    AcceptOtherData,
    Address,
    BatchSize,
    Device,
    DryRun,
    Dtype,
    Executor,
    GpusPerWorker,
    Mirror,
    Price,
    ResultsAsJson,
    Workers,
    check_proposal,
    chosen_attacks,
    title,
)
from .score import folder_name
from .scoring import read_evaluations, score_on
from .terminal import InterruptedRunError, err, out, visible

if TYPE_CHECKING:
    from ..benchmark import Attack, Result, Settings
    from ..benchmark.position import Position
    from ..tasks import EvaluationSet


def sweep(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to score: a YAML file, see docs/cli.md.")],
    profile: Annotated[
        str | None,
        typer.Option("--profile", "-p", help="In place of the file's profile, examples and budget."),
    ] = None,
    attack: Annotated[
        list[str] | None,
        typer.Option("--attack", "-a", help="In place of the file's attacks; repeat for several."),
    ] = None,
    device: Device = None,
    dtype: Dtype = None,
    batch_size: BatchSize = None,
    mirror: Mirror = None,
    executor: Executor = "process",
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    address: Address = None,
    folder: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for a results folder per model.", show_default="scores/FILE"),
    ] = None,
    accept_other_data: AcceptOtherData = False,
    as_json: ResultsAsJson = False,
    dry_run: DryRun = False,
    price: Price = None,
) -> None:
    """Score models on tasks by attacks, as a file says, and print one table.

    What is scored already is not scored again, and an interrupted sweep goes on where it was. A model that fails is
    left out; what was wrong with it is said at the end, and is the exit code.
    """
    from ..benchmark.machine import release_memory
    from ..submissions.sweep_file import read_sweep
    from .dry_run import check_plan

    where = Where(executor, workers, gpus_per_worker, address, device, dtype, batch_size, mirror)
    check_plan(where, dry_run=dry_run, price=price)
    asked = read_sweep(file)
    settings = asked.settings(profile)
    attacks = chosen_attacks(attack or asked.attacks, asked.positions)
    check_proposal(attacks, asked.proposal)
    root = folder or Path("scores") / file.stem
    folders = _folders(root, list(asked.work))
    names = dict.fromkeys(name for of_model in asked.work.values() for name in of_model)
    read = read_evaluations([get_task(name) for name in names], settings, mirror, accept_other_data)
    evaluations = dict(zip(names, read, strict=True))
    work = {model: [get_task(name) for name in of_model] for model, of_model in asked.work.items()}
    if dry_run:
        _show_plan(where, work, asked.proposal, evaluations, attacks, settings, price, as_json=as_json)
        return
    run = _Run(where, asked.proposal, evaluations, attacks, settings, accept_other_data)
    results: list[Result] = []
    failures: dict[str, _Failure] = {}
    with where.cluster():
        for model, target in folders.items():
            try:
                run.score(model, work[model], target, results)
            except InterruptedRunError:
                raise
            except Exception as error:  # whatever it is: the other models are scored all the same
                failures[model] = failed = _Failure.of(error)
                err.print(Text(f"{visible(model)} is left out: {failed.sentence}", style="red"), soft_wrap=True)
            release_memory()
    if as_json:
        out.print_json(json.dumps([result.model_dump(mode="json") for result in results]))
    else:
        out.print(_table(results))
        out.print(f"Results and traces are in {root}", markup=False, soft_wrap=True)
    if failures:
        err.print(f"{len(failures)} of {len(folders)} models failed:", style="red")
        for model, failed in failures.items():
            err.print(Text(f"{visible(model)}: {failed.sentence}", style="red"), soft_wrap=True)
        raise typer.Exit(next(iter(failures.values())).exit_code)


@dataclass(frozen=True)
class _Run:
    """What every model of a sweep is scored by. evaluations: by the names of their tasks."""

    where: Where
    proposal: str | None
    evaluations: "Mapping[str, EvaluationSet]"
    attacks: "Sequence[tuple[Attack, Position]]"
    settings: "Settings"
    accept_other_data: bool

    def score(self, model: str, tasks: "Sequence[Task]", target: Path, results: "list[Result]") -> None:
        """Add a model's results as they are there, new ones and those that the target has."""
        missing = self._missing(model, target, tasks, results)
        if not missing:
            return
        with self.where.host(model, self.proposal) as host:
            for task in missing:
                results += score_on(
                    host,
                    task,
                    self.evaluations[task.name],
                    self.attacks,
                    self.settings,
                    target,
                    accept_other_data=self.accept_other_data,
                )

    def _missing(self, model: str, target: Path, tasks: "Sequence[Task]", results: "list[Result]") -> "list[Task]":
        """The tasks on which something is not scored yet; the results of the others are added.

        The model is not loaded for it: its files say which it is.
        """
        from ..benchmark.scoring import scored_before
        from ..submissions.victim_file import digest_of

        if not (target / "results").is_dir():
            return list(tasks)
        digest = digest_of(model)
        missing = []
        for task in tasks:
            known = [
                scored_before(
                    digest, self.evaluations[task.name], attack, self.settings, target, position, self.where.dtype
                )
                for attack, position in self.attacks
            ]
            if None in known:
                missing.append(task)
            results += [result for result in known if result and None not in known]
        return missing


@dataclass(frozen=True)
class _Failure:
    """What was wrong with a model. The error itself would keep the model in memory."""

    sentence: str
    exit_code: int

    @staticmethod
    def of(error: Exception) -> "_Failure":
        said = " ".join(str(error).split())
        if isinstance(error, HoldfastError):
            return _Failure(visible(said, 4000), error.exit_code)
        return _Failure(visible(f"{type(error).__name__}: {said}", 4000), 1)


def _show_plan(
    where: Where,
    work: "Mapping[str, Sequence[Task]]",
    proposal: str | None,
    evaluations: "Mapping[str, EvaluationSet]",
    attacks: "Sequence[tuple[Attack, Position]]",
    settings: "Settings",
    price: float | None,
    *,
    as_json: bool,
) -> None:
    from ..benchmark.machine import release_memory
    from .dry_run import fleet_asked, measured, show_plans_of_several

    plans = {}
    fleet = None
    for model, tasks in work.items():
        here = where.loaded_here(model, proposal)
        own = [evaluations[task.name] for task in tasks]
        plans[model if as_json else _called(model)] = measured(here, tasks, own, attacks, settings, where.batch_size)
        fleet = fleet_asked(where, here, price)
        del here
        release_memory()
    show_plans_of_several(plans, fleet, price, as_json=as_json)


def _folders(root: Path, models: Sequence[str]) -> dict[str, Path]:
    """The results folder of each model. Raises: RecordError when two models would share one."""
    taken: dict[str, str] = {}
    for model in models:
        other = taken.setdefault(folder_name(model), model)
        if other != model:
            raise RecordError(
                f"{other} and {model} would have their results in the same folder, {root / folder_name(model)}; rename "
                "one of them."
            )
    return {model: root / name for name, model in taken.items()}


def _called(model: str) -> str:
    """A model as a table calls it: folders and files by their names alone, which no two of a sweep share."""
    return folder_name(model) if Path(model).expanduser().exists() else model


def _table(results: "Sequence[Result]") -> Table:
    """A model and task a row, an attack a column: robust accuracy at the budget."""
    from ..benchmark import format_gpu_time, get_attack
    from ..benchmark.attacks import variant_name
    from ..benchmark.curves import clean_accuracy, robust_accuracy

    rows: dict[tuple[str, str], list[Result]] = {}
    columns: list[str] = []
    cells: dict[tuple[str, str, str], str] = {}
    for result in results:
        row = _called(result.victim.reference), result.task.name
        attack = get_attack(variant_name(result.attack.name, result.attack.parameters))
        column = title(attack, result.attack.position)
        rows.setdefault(row, []).append(result)
        columns += [] if column in columns else [column]
        cells[*row, column] = str(robust_accuracy(result, result.budget))
    about = f"clean accuracy, and robust accuracy at {format_gpu_time(results[0].budget)}" if results else None
    table = Table(title=about, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for heading in ("model", "task", "clean", *columns):
        table.add_column(Text(heading), overflow="fold")
    for row, of_row in rows.items():
        shown = [cells.get((*row, column), "") for column in columns]
        table.add_row(*(Text(visible(cell)) for cell in (*row, str(clean_accuracy(of_row[0])), *shown)))
    return table
