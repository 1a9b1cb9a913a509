"""`holdfast tasks` and `holdfast attacks`: what there is to score on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ..tasks import HoldfastError, get_task, task_names
from .options import Mirror
from .terminal import err, out

app = typer.Typer(help="List, show and sample the tasks.", no_args_is_help=True)

TaskName = Annotated[str, typer.Argument(metavar="TASK", help="Name of the task.", autocompletion=task_names)]


@app.command("list")
def list_tasks() -> None:
    """List the tasks."""
    table = Table("task", "asks", "labels", box=None, pad_edge=False)
    for name in task_names():
        with _one_broken_package_is_a_note():
            task = get_task(name)
            table.add_row(Text(name), Text(task.description), Text(" / ".join(task.labels)))
    out.print(table)


@app.command("show")
def show_task(name: TaskName, mirror: Mirror = None) -> None:
    """Show what a task is, and check that its evaluation set is the official one."""
    task = get_task(name)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for label, value in (
        ("task", f"{task.name}, version {task.version}"),
        ("asks", task.description),
        ("labels", f"0 = {task.labels[0]}, 1 = {task.labels[1]}"),
        ("slot", task.slot),
        ("licence", task.licence),
        ("citation", task.citation),
        ("homepage", task.homepage),
        ("digest", task.digest),
    ):
        table.add_row(label, Text(value))
    out.print(table)
    try:
        evaluation = task.evaluation(mirror=mirror)
    except HoldfastError as error:
        out.print(f"The evaluation set cannot be loaded here: {error}", markup=False, soft_wrap=True)
        return
    mismatch = evaluation.mismatch
    if mismatch:
        err.print(mismatch, style="yellow", markup=False, soft_wrap=True)
    else:
        out.print(f"The evaluation set is here: {len(evaluation.examples)} examples, digest as pinned.")


@app.command("sample")
def sample(
    name: TaskName,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many examples.")] = 1,
    mirror: Mirror = None,
) -> None:
    """Print the first examples of the official order, with the slot marked."""
    task = get_task(name)
    for example in task.evaluation(mirror=mirror).examples[:number]:
        text = Text.assemble(example.before, ("[ attack string ]", "reverse"), example.after)
        out.print(Text(f"{example.id}  label {example.label} ({task.labels[example.label]})", style="bold"))
        out.print(text, soft_wrap=True)
        out.print()


def attacks() -> None:
    """List the attacks."""
    from ..benchmark import attack_names, get_attack
    from ..benchmark.attacks import attack_parameters

    table = Table("attack", "what it does", "parameters", "source", box=None, pad_edge=False)
    for name in attack_names():
        with _one_broken_package_is_a_note():
            attack = get_attack(name)
            # Those that are empty are not the attack's own but those of a proposal.
            parameters = ", ".join(f"{key} {value}" for key, value in attack_parameters(attack).items() if value)
            table.add_row(Text(name), Text(attack.summary), Text(parameters), Text(attack.citation))
    out.print(table)


@contextmanager
def _one_broken_package_is_a_note() -> Iterator[None]:
    """Somebody else's task or attack that cannot be loaded does not hide the others."""
    try:
        yield
    except HoldfastError as error:
        err.print(str(error), style="yellow", markup=False, soft_wrap=True)
