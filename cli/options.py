"""Options that several commands have, declared once."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..tasks import UsageError

if TYPE_CHECKING:
    from ..benchmark import Attack
    from ..benchmark.position import Position


def _attack_names() -> list[str]:
    from ..benchmark import attack_names

    return attack_names()


Profile = Annotated[str, typer.Option("--profile", "-p", help="How much to attack: quick, lite, standard or full.")]
Examples = Annotated[int | None, typer.Option("--examples", "-n", help="Attack so many examples instead.")]
Budget = Annotated[
    str | None, typer.Option("--budget", "-b", help="Budget per example instead, like 5ms, 1s or 4e12FLOP.")
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of all random draws.")]
Device = Annotated[
    str | None,
    typer.Option("--device", help="cpu, cuda, cuda:1, …, or auto: all cards.", show_default="a card, if any"),
]
Dtype = Annotated[
    str | None,
    typer.Option("--dtype", help="float32, bfloat16 or float16.", show_default="bfloat16 on cards, else float32"),
]
BatchSize = Annotated[
    int | None,
    typer.Option("--batch-size", min=1, help="Sequences per forward pass.", show_default="found automatically"),
]
Mirror = Annotated[
    Path | None,
    typer.Option("--mirror", help="A local mirror of the Hub's layout to take data sets from (or HOLDFAST_MIRROR)."),
]
Executor = Annotated[
    str, typer.Option("--executor", help="process, or ray: workers on several cards or machines, of a Ray cluster.")
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, help="With ray: workers, each with the model.", show_default="one per card, else per node"
    ),
]
GpusPerWorker = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-worker",
        min=0,
        help="With ray: cards for each worker; below 1, several share one.",
        show_default="1, if there are any",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="With ray: the cluster, as host:port, or auto for that of this machine.",
        show_default="RAY_ADDRESS, else a cluster of its own",
    ),
]
AcceptOtherData = Annotated[
    bool,
    typer.Option("--accept-other-data", help="Score on examples that are not the official ones; recorded as such."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print cost, time and memory; attack nothing.")]
Price = Annotated[
    float | None,
    typer.Option("--price", min=0, help="With --dry-run: what an hour of a card costs, or of a machine without."),
]
ResultsAsJson = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]
AttackNames = Annotated[
    list[str] | None,
    typer.Option(
        "--attack",
        "-a",
        help="Attack to run, as gcg-20 with strings of so many tokens; repeat for several.",
        show_default="the official ones",
        autocompletion=_attack_names,
    ),
]
Proposal = Annotated[
    str | None,
    typer.Option(
        "--proposal",
        metavar="MODEL",
        help="Language model that proposes tokens to beast_lm, a folder or owner/name@commit.",
    ),
]
Positions = Annotated[
    list[str] | None,
    typer.Option(
        "--position",
        help="Where in a text the string goes: suffix, infix or prefix; repeat for several.",
        show_default="suffix",
    ),
]
Registry = Annotated[
    Path | None,
    typer.Option(
        "--registry", help="The folder that has entries/ and checkpoints/.", show_default="submissions, in a checkout"
    ),
]


def chosen_attacks(names: Sequence[str] | None, positions: Sequence[str] | None) -> "list[tuple[Attack, Position]]":
    """The attacks that were asked for, each at every position that was. Raises: UsageError."""
    from ..benchmark import OFFICIAL_ATTACKS, get_attack
    from ..benchmark.attacks import full_name
    from ..benchmark.position import OFFICIAL_POSITION, get_position

    attacks = {full_name(attack): attack for attack in map(get_attack, names or OFFICIAL_ATTACKS)}
    places: list[Position] = [get_position(each) for each in dict.fromkeys(positions or [OFFICIAL_POSITION])]
    return [(attack, place) for attack in attacks.values() for place in places]


def check_proposal(attacks: "Sequence[tuple[Attack, Position]]", proposal: str | None) -> None:
    """Raises: UsageError when an attack lacks its language model, or there is one that no attack uses."""
    from ..benchmark.attacks import is_guided

    guided = next((attack.name for attack, _ in attacks if is_guided(attack)), None)
    if guided and proposal is None:
        raise UsageError(f"The attack {guided} is guided by a language model; name one with --proposal.")
    if proposal is not None and not guided:
        raise UsageError("None of the attacks uses a proposal; add --attack beast_lm, or leave out --proposal.")


def title(attack: "Attack", position: "Position") -> str:
    """An attack as progress and plans call it: with its position, unless that is the official one."""
    from ..benchmark.attacks import full_name
    from ..benchmark.position import OFFICIAL_POSITION

    name = full_name(attack)
    return name if position == OFFICIAL_POSITION else f"{name} {position}"
