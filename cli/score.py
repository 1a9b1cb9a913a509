"""`holdfast score`: attack a checkpoint on tasks, under a budget, and write results."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ..tasks import OFFICIAL_TASKS, UsageError, get_task, task_names
from .compare import FailOn, Gate
from .hosts import Where
from .options import (
    Address,
    AttackNames,
    BatchSize,
    Device,
    Dtype,
    Executor,
    GpusPerWorker,
    Mirror,
    Positions,
    Profile,
    Proposal,
    Seed,
    Workers,
    check_proposal,
    chosen_attacks,
    title,
)
from .show import read_results
from .terminal import duration, out, size

if TYPE_CHECKING:
    from ..benchmark import Attack, Settings, Victim
    from ..benchmark.position import Position
    from ..tasks import EvaluationSet


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
    examples: Annotated[int | None, typer.Option("--examples", "-n", help="Attack so many examples instead.")] = None,
    budget: Annotated[
        str | None, typer.Option("--budget", "-b", help="Budget per example instead, like 5ms, 1s or 4e12FLOP.")
    ] = None,
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
    accept_other_data: Annotated[
        bool,
        typer.Option("--accept-other-data", help="Score on examples that are not the official ones; recorded as such."),
    ] = False,
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", help="Then compare with these results: a file, or a folder that holds some."),
    ] = None,
    fail_on: FailOn = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print cost, time and memory; attack nothing.")] = False,
) -> None:
    """Attack a checkpoint under a compute budget and record what it cost to break each example.

    An interrupted run goes on where it was when the same command is given again.
    """
    from ..benchmark import Settings, get_profile, parse_budget
    from ..benchmark.attacks import full_name
    from .scoring import read_evaluations, score_on
    from .show import table_of

    where = Where(executor, workers, gpus_per_worker, address, device, dtype, batch_size, mirror)
    if dry_run and where.on_ray:
        raise UsageError("--dry-run measures on this machine; leave out --executor ray.")
    if task:
        settings = Settings.of(
            get_profile(profile), examples=examples, budget=None if budget is None else parse_budget(budget), seed=seed
        )
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
        guided: list[tuple[Attack, Position]] = [(here.guided(each), place) for each, place in attacks]
        victims = [here.executor(each).model for each in chosen]
        _show_plan(victims, evaluations, guided, settings, here.proposal, batch_size, as_json)
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


def _show_plan(
    victims: "list[Victim]",
    evaluations: "list[EvaluationSet]",
    attacks: "Sequence[tuple[Attack, Position]]",
    settings: "Settings",
    proposal: "Victim | None",
    batch_size: int | None,
    as_json: bool,
) -> None:
    from ..benchmark import format_gpu_time
    from ..benchmark.budget import format_flop
    from ..benchmark.plan import plan

    plans = [
        (
            evaluation.task,
            title(attack, place),
            plan(victim, evaluation, attack, settings, position=place, proposal=proposal, batch_size=batch_size),
        )
        for victim, evaluation in zip(victims, evaluations, strict=True)
        for attack, place in attacks
    ]
    if as_json:
        out.print_json(json.dumps([{"task": task, "attack": attack, **asdict(each)} for task, attack, each in plans]))
        return
    for task, attack, each in plans:
        table = Table(title=f"{task} × {attack}", title_justify="left", title_style="bold", box=None, show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        truncated = f", {each.truncated} shortened to fit the context" if each.truncated else ""
        table.add_row(
            "examples",
            f"{each.examples} of {each.median_tokens} tokens (median; longest {each.longest_tokens}){truncated}",
        )
        table.add_row("parameters", f"{each.parameters:,}")
        table.add_row("forward pass", f"{format_flop(each.forward_cost)} = {format_gpu_time(each.forward_cost)}")
        table.add_row("iteration", f"{format_flop(each.iteration_cost)} = {format_gpu_time(each.iteration_cost)}")
        if each.proposing_cost:
            asked = f"{format_flop(each.proposing_cost)} of it; {1000 * each.proposing_seconds:,.3g} ms, measured now"
            table.add_row("proposal", asked)
        fits = ", ".join(f"{count:,} at {format_gpu_time(tier)}" for tier, count in each.iterations.items())
        table.add_row("iterations", fits)
        table.add_row("rate", f"{each.candidates_per_second:,.0f} strings/s, measured now")
        table.add_row("time", f"at most {duration(each.seconds)}, if every example holds; less for what breaks")
        table.add_row("memory", f"{size(each.memory)} at the peak, measured now; {size(each.available)} free")
        out.print(table)
        out.print()
    out.print(f"At most {duration(sum(each.seconds for *_, each in plans))} in all. Nothing was attacked.")
