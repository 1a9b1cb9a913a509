"""What `score --dry-run` prints: what a score would cost and take, measured here, and on workers that are not here."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rich.table import Table

from .options import title
from .terminal import duration, out, size

if TYPE_CHECKING:
    from ..benchmark import Attack, Settings, Victim
    from ..benchmark.forecast import Fleet
    from ..benchmark.plan import Plan
    from ..benchmark.position import Position
    from ..tasks import EvaluationSet


@dataclass(frozen=True)
class Measured:
    """A task, an attack, and what they take in this process."""

    task: str
    attack: str
    plan: "Plan"


def measured(
    victims: "Sequence[Victim]",
    evaluations: "Sequence[EvaluationSet]",
    attacks: "Sequence[tuple[Attack, Position]]",
    settings: "Settings",
    proposal: "Victim | None",
    batch_size: int | None,
) -> list[Measured]:
    """A plan per task and attack; victims as they answer each task. proposal: of attacks that a model guides."""
    from ..benchmark.plan import plan

    return [
        Measured(
            evaluation.task,
            title(attack, place),
            plan(victim, evaluation, attack, settings, position=place, proposal=proposal, batch_size=batch_size),
        )
        for victim, evaluation in zip(victims, evaluations, strict=True)
        for attack, place in attacks
    ]


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
    table.add_row("rate", f"{plan.candidates_per_second:,.0f} strings/s, measured now")
    table.add_row("time", f"at most {duration(plan.seconds)}, if every example holds; less for what breaks")
    table.add_row("memory", f"{size(plan.memory)} at the peak, measured now; {size(plan.available)} free")
    return table
