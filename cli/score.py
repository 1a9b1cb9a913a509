"""`holdfast score`: attack a checkpoint on tasks, under a budget, and write results."""

import json
import re
import shlex
import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ..tasks import OFFICIAL_TASKS, UsageError, get_task, task_names
from .compare import FailOn, Gate
from .options import (
    AttackNames,
    BatchSize,
    Device,
    Dtype,
    Mirror,
    Positions,
    Profile,
    Proposal,
    Seed,
    check_proposal,
    chosen_attacks,
    title,
)
from .show import read_results
from .terminal import InterruptedRunError, duration, err, out, size

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
    from ..benchmark import Settings, format_gpu_time, get_profile, load_victim, parse_budget
    from ..benchmark import score as run_score
    from ..benchmark.attacks import full_name
    from ..benchmark.model_proposal import all_guided_by
    from ..benchmark.scoring import check_evaluation, for_task
    from ..submissions.victim_file import load_model
    from .progress import shown
    from .show import table_of

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
    evaluations = [each.evaluation(mirror=mirror) for each in chosen]
    for evaluation in evaluations:
        check_evaluation(evaluation, settings, accept_other_data)
        if not evaluation.matches:
            err.print(f"{evaluation.mismatch}", style="yellow", markup=False, soft_wrap=True)
    with err.status("loading the victim") if err.is_terminal else nullcontext():
        victim = load_model(model, device=device, dtype=dtype)
        guide = None if proposal is None else load_victim(proposal, device=device, dtype="float32")
    if guide:
        attacks = all_guided_by(attacks, guide)
    if dry_run:
        _show_plan(
            [for_task(victim, each, mirror) for each in chosen], evaluations, attacks, settings, batch_size, as_json
        )
        return
    results = []
    for each_task, evaluation in zip(chosen, evaluations, strict=True):
        of_task = []
        asked = for_task(victim, each_task, mirror)
        for each, place in attacks:
            try:
                with shown(f"{evaluation.task} × {title(each, place)}") as display:
                    result = run_score(
                        asked,
                        evaluation,
                        each,
                        settings,
                        target,
                        position=place,
                        proposal=guide,
                        mirror=mirror,
                        batch_size=batch_size,
                        accept_other_data=accept_other_data,
                        on_progress=display,
                    )
            except KeyboardInterrupt:
                again = shlex.join(["holdfast", *sys.argv[1:]])
                raise InterruptedRunError(
                    f"Interrupted. Every finished example is saved in {target}; to go on:\n  {again}"
                ) from None
            if result.summary.clean_correct and not any(record.iterations for record in result.records):
                err.print(
                    f"No iteration of {each.name} fits a budget of {format_gpu_time(settings.budget)} for a victim "
                    "of this size: nothing was attacked, and robust accuracy is clean accuracy. A larger --profile "
                    "or "
                    "--budget is needed.",
                    style="yellow",
                    soft_wrap=True,
                )
            of_task.append(result)
        if not as_json:
            out.print(table_of(of_task))
        results.extend(of_task)
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
    path = Path(model).expanduser()
    name = path.resolve().name if path.is_dir() else path.stem if path.is_file() else model.replace("/", "--")
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:80]
    what = settings.profile
    if what == "custom":
        what = f"custom-{settings.examples}x{settings.budget:.3g}".replace("+", "")
    return Path("scores") / f"{slug}-{what}{f'-seed{settings.seed}' if settings.seed else ''}"


def _show_plan(
    victims: "list[Victim]",
    evaluations: "list[EvaluationSet]",
    attacks: "list[tuple[Attack, Position]]",
    settings: "Settings",
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
            plan(victim, evaluation, attack, settings, position=place, batch_size=batch_size),
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
        fits = ", ".join(f"{count:,} at {format_gpu_time(tier)}" for tier, count in each.iterations.items())
        table.add_row("iterations", fits)
        table.add_row("rate", f"{each.candidates_per_second:,.0f} strings/s, measured now")
        table.add_row("time", f"at most {duration(each.seconds)}, if every example holds; less for what breaks")
        table.add_row("memory", f"{size(each.memory)} at the peak, measured now; {size(each.available)} free")
        out.print(table)
        out.print()
    out.print(f"At most {duration(sum(each.seconds for *_, each in plans))} in all. Nothing was attacked.")
