"""What `--dry-run` prints: what scores would cost and take, measured here, and on workers that are not here."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from ..tasks import UsageError
from .hosts import Where
from .options import title
from .terminal import duration, out, size, visible

if TYPE_CHECKING:
    from ..benchmark import Attack, Settings
    from ..benchmark.executor import InThisProcess
    from ..benchmark.forecast import Fleet
    from ..benchmark.plan import Plan
    from ..benchmark.position import Position
    from ..tasks import EvaluationSet, Task


@dataclass(frozen=True)
class Measured:
    """A task, an attack, and what they take in this process."""

    task: str
    attack: str
    plan: "Plan"


def check_plan(where: Where, *, dry_run: bool, price: float | None) -> None:
    """Raises: UsageError for options that a plan needs, or that only a plan has."""
    if dry_run and where.on_ray and where.workers is None:
        raise UsageError(
            "--dry-run measures on this machine and asks no cluster; say with --workers how many there will be, or "
            "leave out --executor ray."
        )
    if price is not None and not dry_run:
        raise UsageError("--price is for a plan; add --dry-run, or leave it out.")


def measured(
    here: "InThisProcess",
    tasks: "Sequence[Task]",
    evaluations: "Sequence[EvaluationSet]",
    attacks: "Sequence[tuple[Attack, Position]]",
    settings: "Settings",
    batch_size: int | None,
) -> list[Measured]:
    """A plan per task and attack for the victim that is loaded here."""
    from ..benchmark.plan import plan

    plans = []
    for task, evaluation in zip(tasks, evaluations, strict=True):
        victim = here.executor(task).model
        for attack, place in attacks:
            guided = here.guided(attack)
            found = plan(
                victim, evaluation, guided, settings, position=place, proposal=here.proposal, batch_size=batch_size
            )
            plans.append(Measured(evaluation.task, title(guided, place), found))
    return plans


def fleet_asked(where: Where, here: "InThisProcess", price: float | None) -> "Fleet | None":
    """Workers like this machine; None where nobody asked for other than this process. Raises: UsageError."""
    return where.fleet(card=here.model.device.type == "cuda") if where.on_ray or price is not None else None


def show_plans(plans: Sequence[Measured], fleet: "Fleet | None", price: float | None, *, as_json: bool) -> None:
    """Print them. fleet: workers like this machine; None where nobody asked for other than this process.

    price: of an hour of a card, or of a machine where there are none; None where nobody asked for money.
    """
    if as_json:
        data = [
            {"task": each.task, "attack": each.attack, **asdict(each.plan), **_on(fleet, [each], price)}
            for each in plans
        ]
        out.print_json(json.dumps(data))
        return
    for each in plans:
        out.print(_table(each))
        out.print()
    _show_sum(plans, fleet, price)


def show_plans_of_several(
    plans: Mapping[str, Sequence[Measured]], fleet: "Fleet | None", price: float | None, *, as_json: bool
) -> None:
    """Print the plans of several models, a line each. fleet, price: as for one."""
    if as_json:
        data = [
            {"model": model, "task": each.task, "attack": each.attack, **asdict(each.plan), **_on(fleet, [each], price)}
            for model, own in plans.items()
            for each in own
        ]
        out.print_json(json.dumps(data))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("model", "task", "attack"):
        table.add_column(heading, overflow="fold")
    for heading in ("strings/s", "at most"):
        table.add_column(heading, justify="right", no_wrap=True)
    for model, own in plans.items():
        for each in own:
            rate = f"{each.plan.candidates_per_second:,.0f}"
            table.add_row(Text(visible(model)), each.task, each.attack, rate, duration(each.plan.seconds))
    out.print(table)
    _show_sum([each for own in plans.values() for each in own], fleet, price)


def _show_sum(plans: Sequence[Measured], fleet: "Fleet | None", price: float | None) -> None:
    out.print(f"At most {duration(sum(each.plan.seconds for each in plans))} in all. Nothing was attacked.")
    if fleet is None:
        return
    found = _on(fleet, plans, price)
    workers = "one worker" if fleet.workers == 1 else f"{fleet.workers} workers"
    cost = "" if price is None else f", {found['money']:,.2f} at {price:g} each"
    out.print(
        f"On {workers} like this machine at most {duration(found['workers_seconds'])}: {found['card_hours']:.3g} hours "
        f"to pay for{cost}.",
        soft_wrap=True,
    )


def _on(fleet: "Fleet | None", plans: Sequence[Measured], price: float | None) -> dict[str, float]:
    """What plans take on some workers, one after the other. Empty without workers."""
    if fleet is None:
        return {}
    seconds = sum(fleet.seconds(each.plan.seconds, each.plan.examples) for each in plans)
    hours = fleet.card_hours(seconds)
    money = {} if price is None else {"money": hours * price}
    return {"workers": fleet.workers, "workers_seconds": seconds, "card_hours": hours, **money}


def _table(each: Measured) -> Table:
    from ..benchmark import format_gpu_time
    from ..benchmark.budget import format_flop

    plan = each.plan
    table = Table(
        title=f"{each.task} × {each.attack}", title_justify="left", title_style="bold", box=None, show_header=False
    )
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    truncated = f", {plan.truncated} shortened to fit the context" if plan.truncated else ""
    table.add_row(
        "examples", f"{plan.examples} of {plan.median_tokens} tokens (median; longest {plan.longest_tokens}){truncated}"
    )
    table.add_row("parameters", f"{plan.parameters:,}")
    table.add_row("forward pass", f"{format_flop(plan.forward_cost)} = {format_gpu_time(plan.forward_cost)}")
    table.add_row("iteration", f"{format_flop(plan.iteration_cost)} = {format_gpu_time(plan.iteration_cost)}")
    if plan.proposing_cost:
        asked = f"{format_flop(plan.proposing_cost)} of it; {1000 * plan.proposing_seconds:,.3g} ms, measured now"
        table.add_row("proposal", asked)
    fits = ", ".join(f"{count:,} at {format_gpu_time(tier)}" for tier, count in plan.iterations.items())
    table.add_row("iterations", fits)
    gradient = f"; {1000 * plan.gradient_seconds:,.3g} ms a gradient" if plan.gradient_seconds else ""
    table.add_row("rate", f"{plan.candidates_per_second:,.0f} strings/s{gradient}, measured now")
    table.add_row("time", f"at most {duration(plan.seconds)}, if every example holds; less for what breaks")
    table.add_row("memory", f"{size(plan.memory)} at the peak, measured now; {size(plan.available)} free")
    return table
