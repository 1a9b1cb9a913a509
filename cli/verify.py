"""`holdfast verify`: replay what entries claim, attack a few of their examples again, and write evidence."""

import getpass
import json
import secrets
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ..tasks import UsageError, VerificationError
from .options import Device, Mirror, Registry
from .terminal import InterruptedRunError, duration, err, out, visible

if TYPE_CHECKING:
    from ..submissions.verify import EntryReport, Request


def verify(
    entries: Annotated[
        list[str] | None, typer.Argument(metavar="[ENTRY]...", help="Folders of entries, or their slugs.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every entry of the registry.")] = False,
    registry: Registry = None,
    reproduce: Annotated[
        int, typer.Option("--reproduce", metavar="K", help="Attack K examples of every result again, at least 6.")
    ] = 0,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Seed of the draw of those K.", show_default="a new one")
    ] = None,
    reproduce_budget: Annotated[
        str | None,
        typer.Option(
            "--reproduce-budget", help="Spend at most so much on each of them, like 10ms.", show_default="all"
        ),
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", help="Who vouches.", show_default="git's user.name, or the login name")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write evidence to FOLDER/SLUG/evidence/ instead.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Verify what has current evidence too.")] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Entries at a time.")] = 1,
    timeout: Annotated[
        float | None, typer.Option("--timeout", help="Seconds for one entry.", show_default="3600")
    ] = None,
    memory: Annotated[
        float | None,
        typer.Option("--memory", help="GB for one entry.", show_default="4, and four times the weights"),
    ] = None,
    device: Device = None,
    mirror: Mirror = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Replay every recorded string of entries through their victims, and write evidence for what proves true.

    An interrupted verification goes on where it was when the same command is given again.
    """
    from ..submissions.bounded import warm_up

    warm_up()
    from ..benchmark import parse_budget
    from ..submissions.entry import entry_folders, find_entry, find_registry
    from ..submissions.verdicts import FEWEST, Reproducing
    from ..submissions.verify import SECONDS, Request

    if bool(entries) == all_:
        raise UsageError("Name the entries to verify, or give --all for every one of the registry.")
    if reproduce and reproduce < FEWEST:
        raise UsageError(
            f"Reproducing {reproduce} examples could not show that costs differ by more than chance; ask for at least "
            f"{FEWEST}."
        )
    if not reproduce and (seed is not None or reproduce_budget is not None):
        raise UsageError("--seed and --reproduce-budget are about --reproduce; give that too.")
    for name, value in (("--timeout", timeout), ("--memory", memory)):
        if value is not None and not 0 < value < 1e9:
            raise UsageError(f"{name} must be a positive number, not {value:g}.")
    if device is not None:
        # Loads PyTorch, which nothing else here needs.
        from ..benchmark.victim import find_device

        find_device(device)
    if all_:
        folders = list(entry_folders(find_registry(registry)))
    else:
        folders = list(dict.fromkeys(find_entry(entry, registry) for entry in entries or ()))
    request = Request(
        by=_plain_name(by or _own_name()),
        reproducing=Reproducing(
            reproduce,
            secrets.randbelow(2**32) if seed is None else seed,
            None if reproduce_budget is None else parse_budget(reproduce_budget),
        ),
        again=again,
        out=folder,
        device=device,
        mirror=mirror,
        seconds=SECONDS if timeout is None else timeout,
        memory=None if memory is None else int(memory * 1e9),
        jobs=jobs,
    )
    reports = _run(folders, request, registry)
    if as_json:
        out.print_json(json.dumps([_as_json(report) for report in reports]))
    else:
        _print(reports, folder)
    for line in (line for report in reports for line in problems_of(report)):
        err.print(visible(line, 1_000), markup=False, soft_wrap=True)
    if faulty := sum(not report.verified for report in reports):
        count = sum(len(problems_of(report)) for report in reports)
        raise VerificationError(
            f"{count} problem{'s' * (count > 1)} in {faulty} of {len(reports)} "
            f"entr{'y' if len(reports) == 1 else 'ies'}; what did not prove true got no evidence."
        )


def _run(folders: Sequence[Path], request: "Request", registry: Path | None) -> "list[EntryReport]":
    from ..submissions.verify import verify_entries

    columns = (TextColumn("verifying"), BarColumn(bar_width=24), TextColumn("{task.completed}/{task.total} entries"))
    note = (TextColumn("{task.fields[results]} results"), TimeElapsedColumn())
    done = 0
    with Progress(*columns, *note, console=err, transient=True, disable=not err.is_terminal) as progress:
        bar = progress.add_task("", total=len(folders), results=0)

        def count(_: object) -> None:
            nonlocal done
            done += 1
            progress.update(bar, results=done)

        reports = []
        try:
            for report in verify_entries(folders, request, registry=registry, on_result=count):
                reports.append(report)
                progress.update(bar, advance=1)
        except KeyboardInterrupt:
            again = shlex.join(["holdfast", *sys.argv[1:]])
            raise InterruptedRunError(
                f"Interrupted. The evidence for {done} results is kept; to go on:\n  {again}"
            ) from None
    return sorted(reports, key=lambda report: folders.index(report.folder))


def _own_name() -> str:
    try:
        git = subprocess.run(["git", "config", "user.name"], capture_output=True, text=True, timeout=10, check=False)
        if git.stdout.strip():
            return git.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        pass
    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:
        raise UsageError("Nobody knows who you are here; say who vouches with --by NAME.") from error


def _plain_name(name: str) -> str:
    from ..submissions.manifest import not_plain

    problem = "the name must be on one line" if "\n" in name else not_plain(name, limit=120)
    if problem:
        raise UsageError(f"--by: {problem}.")
    return name


def problems_of(report: "EntryReport") -> list[str]:
    """One line each, with the entry and the file or result it is about."""
    name = report.folder.name
    return [
        *(f"{name}: {file}: {message}" if file else f"{name}: {message}" for file, message in report.problems),
        *(f"{name}: {result.key}: {problem}." for result in report.results for problem in result.problems),
    ]


def _print(reports: "Sequence[EntryReport]", folder: Path | None) -> None:
    for report in reports:
        if report.problems or report.results:
            refused = ("  refused", "red") if report.problems else ""
            out.print(Text.assemble((visible(report.folder.name), "bold"), refused))
        if report.results:
            out.print(_table(report))
    if reported := sum(bool(report.curves) for report in reports):
        out.print(
            f"{reported} entr{'y has' if reported == 1 else 'ies have'} figures from a publication, which cannot be "
            "replayed."
        )
    if written := sum(not result.kept and not result.problems for report in reports for result in report.results):
        where = "in the entries" if folder is None else f"in {folder}"
        out.print(f"{written} records of evidence written {where}", markup=False, soft_wrap=True)


def _table(report: "EntryReport") -> Table:
    table = Table("task", "attack", "evidence", "examples", "near ties", "time", box=None, pad_edge=False)
    for column in table.columns:
        # Names are needed whole, to be looked up.
        column.overflow = "fold"
    for result in report.results:
        table.add_row(
            Text(visible(result.key.task)),
            Text(visible(f"{result.key.attack}-{result.key.position}")),
            Text("failed", style="red") if result.problems else Text(result.level),
            str(result.examples),
            "" if result.near_ties is None else str(result.near_ties),
            "kept" if result.kept else "" if result.seconds is None else duration(result.seconds),
        )
    return table


def _as_json(report: "EntryReport") -> dict[str, object]:
    return {
        "entry": report.folder.name,
        "verified": report.verified,
        "reported_curves": report.curves,
        "seconds": report.seconds,
        "problems": [{"file": file, "message": message} for file, message in report.problems],
        "results": [
            {
                "task": result.key.task,
                "attack": result.key.attack,
                "position": result.key.position,
                "evidence": result.level,
                "kept": result.kept,
                "examples": result.examples,
                "near_ties": result.near_ties,
                "seconds": result.seconds,
                "problems": list(result.problems),
            }
            for result in report.results
        ],
    }
