"""`holdfast score`: attack a checkpoint on tasks, under a budget, and write results."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..tasks import OFFICIAL_TASKS, UsageError, get_task, task_names
from .compare import FailOn, Gate
from .hosts import Where
from .options import (
    AcceptOtherData,
    Address,
    AttackNames,
    BatchSize,
    Budget,
    Device,
    DryRun,
    Dtype,
    Examples,
    Executor,
    GpusPerWorker,
    Mirror,
    Positions,
    Price,
    Profile,
    Proposal,
    ResultsAsJson,
    Seed,
    Workers,
    check_proposal,
    chosen_attacks,
)
from .show import read_results
from .terminal import out

if TYPE_CHECKING:
    from ..benchmark import Attack, Settings
    from ..benchmark.position import Position


def score(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A checkpoint (a folder, or owner/name@commit) or a victim file.")
    ],
    task: Annotated[
        list[str] | None,
        typer.Option(
            "--task",
            "-t",
            help="Task to score on; repeat for several, or `all`.",
            show_default="with --baseline, as that was scored",
            autocompletion=task_names,
        ),
    ] = None,
    profile: Profile = "quick",
    attack: AttackNames = None,
    position: Positions = None,
    proposal: Proposal = None,
    examples: Examples = None,
    budget: Budget = None,
    seed: Seed = 0,
    device: Device = None,
    dtype: Dtype = None,
    batch_size: BatchSize = None,
    mirror: Mirror = None,
    executor: Executor = "process",
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    address: Address = None,
    folder: Annotated[
        Path | None, typer.Option("--out", "-o", help="Results folder.", show_default="scores/MODEL-PROFILE")
    ] = None,
    accept_other_data: AcceptOtherData = False,
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", help="Then compare with these results: a file, or a folder that holds some."),
    ] = None,
    fail_on: FailOn = None,
    as_json: ResultsAsJson = False,
    dry_run: DryRun = False,
    price: Price = None,
) -> None:
    """Attack a checkpoint under a compute budget and record what it cost to break each example.

    An interrupted run goes on where it was when the same command is given again.
    """
    from ..benchmark import Settings
    from ..benchmark.attacks import full_name
    from .dry_run import check_plan, fleet_asked, measured, show_plans
    from .scoring import read_evaluations, score_on
    from .show import table_of

    where = Where(executor, workers, gpus_per_worker, address, device, dtype, batch_size, mirror)
    check_plan(where, dry_run=dry_run, price=price)
    if task:
        settings = Settings.asked(profile, examples, budget, seed)
        attacks = chosen_attacks(attack, position)
    else:
        task, attacks, settings = _as_the_baseline(baseline, attack, position)
    check_proposal(attacks, proposal)
    chosen = [get_task(name) for name in (OFFICIAL_TASKS if task == ["all"] else dict.fromkeys(task))]
    target = folder or default_folder(model, settings)
    only = [(full_name(each), place) for each, place in attacks] if attack or position else None
    gate = Gate.of(baseline, fail_on, tasks=[each.name for each in chosen], attacks=only)
    evaluations = read_evaluations(chosen, settings, mirror, accept_other_data)
    if dry_run:
        here = where.loaded_here(model, proposal)
        plans = measured(here, chosen, evaluations, attacks, settings, batch_size)
        show_plans(plans, fleet_asked(where, here, price), price, as_json=as_json)
        return
    results = []
    with where.host(model, proposal) as host:
        for each, evaluation in zip(chosen, evaluations, strict=True):
            found = score_on(host, each, evaluation, attacks, settings, target, accept_other_data=accept_other_data)
            if not as_json:
                out.print(table_of(found))
            results.extend(found)
    if not as_json:
        out.print(f"Results and traces are in {target}", markup=False, soft_wrap=True)
    if gate is not None:
        gate.judge(results, target, as_json=as_json)
    elif as_json:
        out.print_json(json.dumps([result.model_dump(mode="json") for result in results]))


def _as_the_baseline(
    baseline: Path | None, attack: list[str] | None, position: list[str] | None
) -> "tuple[list[str], list[tuple[Attack, Position]], Settings]":
    """Tasks, attacks and settings where no task is named: what the baseline was asked. Raises: UsageError."""
    from ..benchmark import get_attack
    from ..submissions.release import asked_of

    if baseline is None:
        raise UsageError("There is nothing to score on; name a --task, or --baseline to repeat what that was asked.")
    asked = asked_of(read_results(baseline))
    if attack or position:
        return asked.tasks, chosen_attacks(attack, position), asked.settings
    return asked.tasks, [(get_attack(name), place) for name, place in asked.attacks], asked.settings


def default_folder(model: str, settings: "Settings") -> Path:
    """Where results go when the user does not say: one folder per checkpoint, profile and seed."""
    slug = folder_name(model)
    what = settings.profile
    if what == "custom":
        what = f"custom-{settings.examples}x{settings.budget:.3g}".replace("+", "")
    return Path("scores") / f"{slug}-{what}{f'-seed{settings.seed}' if settings.seed else ''}"


def folder_name(model: str) -> str:
    """What the folder of a checkpoint's results is called."""
    path = Path(model).expanduser()
    name = path.resolve().name if path.is_dir() else path.stem if path.is_file() else model.replace("/", "--")
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:80]
