"""`holdfast submit`: make an entry, and check entries before anything is run."""

import json
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..tasks import OFFICIAL_TASKS, RecordError, UsageError, get_task
from .options import (
    AttackNames,
    BatchSize,
    Budget,
    Device,
    Dtype,
    Examples,
    Mirror,
    Positions,
    Profile,
    Proposal,
    Registry,
    Seed,
    check_proposal,
    chosen_attacks,
)
from .terminal import InterruptedRunError, err, out, visible

if TYPE_CHECKING:
    from ..submissions.manifest import Author, TrainingCompute, WebLink

app = typer.Typer(help="Make an entry for the registry, and check it.", no_args_is_help=True)

_DEFENCES = "none, adversarial-training, filter, ensemble or other"


@app.command("check")
def check(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Entry folders, or a registry for all in it.")],
    registry: Registry = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the problems as JSON.")] = False,
) -> None:
    """Check entries without running anything: every problem at once, with file and line."""
    from ..submissions.bounded import warm_up

    warm_up()
    from ..submissions.bounded_check import check_bounded
    from ..submissions.entry import entry_folders

    folders = [folder for path in paths for folder in (entry_folders(path) if (path / "entries").is_dir() else [path])]
    if not folders:
        raise UsageError("There is no entry to check; give folders like submissions/entries/my-model.")
    found = {folder: check_bounded(folder, registry) for folder in folders}
    problems = [problem for each in found.values() for problem in each]
    if as_json:
        listed = [{"file": str(each.file), "line": each.line, "message": each.message} for each in problems]
        out.print_json(json.dumps({"entries": len(folders), "problems": listed}))
    for each in problems:
        err.print(visible(str(each), 1_000), markup=False, soft_wrap=True)
    if problems:
        faulty = sum(bool(each) for each in found.values())
        raise RecordError(
            f"{len(problems)} problem{'s' * (len(problems) > 1)} in {faulty} of {len(folders)} "
            f"entr{'y' if len(folders) == 1 else 'ies'}; mend them and check again."
        )
    if not as_json:
        out.print(f"{len(folders)} entr{'y is' if len(folders) == 1 else 'ies are'} sound.")


@app.command("new")
def new(
    slug: Annotated[str, typer.Argument(metavar="SLUG", help="The entry's name in links, like my-model-adversarial.")],
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            "--checkpoint",
            "-c",
            help="TASK=MODEL, a folder, owner/name@commit or a victim file; repeat for every task.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="What readers see.")] = None,
    description: Annotated[
        str | None, typer.Option("--description", help="What is special, in a few sentences.")
    ] = None,
    author: Annotated[
        list[str] | None, typer.Option("--author", help="Name, or 'Name <https://...>'; repeat for several.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--licence", help="SPDX expression for the checkpoints, like Apache-2.0.")
    ] = None,
    link: Annotated[list[str] | None, typer.Option("--link", help="'Title=https://...'; repeat for several.")] = None,
    family: Annotated[str | None, typer.Option("--family", help="Model family, like Pythia.")] = None,
    defence: Annotated[str | None, typer.Option("--defence", help=f"{_DEFENCES}.")] = None,
    defence_description: Annotated[
        str | None, typer.Option("--defence-description", help="The defence in a sentence.")
    ] = None,
    compute: Annotated[
        list[str] | None,
        typer.Option(
            "--compute",
            help="TASK.STAGE=FLOP, with the stage pretraining, fine_tuning or defence; repeat for several.",
            show_default="from the training.json of its checkpoints",
        ),
    ] = None,
    profile: Profile = "lite",
    examples: Examples = None,
    budget: Budget = None,
    attack: AttackNames = None,
    position: Positions = None,
    proposal: Proposal = None,
    seed: Seed = 0,
    scores: Annotated[
        Path | None,
        typer.Option("--scores", help="Results folder with finished scores.", show_default="scores/SLUG"),
    ] = None,
    registry: Registry = None,
    device: Device = None,
    dtype: Dtype = None,
    batch_size: BatchSize = None,
    mirror: Mirror = None,
) -> None:
    """Make an entry: score what is missing, and write manifest, results and traces.

    What is not given is asked for. An interrupted run goes on when the same command is given again.
    """
    from ..benchmark import Settings
    from ..submissions.entry import find_registry
    from ..submissions.manifest import Defence, Licence, Line, Slug
    from ..submissions.new import Draft, Scoring, create_entry
    from .progress import shown

    ask = _Questions()
    ask.nothing_missing(
        {
            "--checkpoint": checkpoint,
            "--name": name,
            "--author": author,
            "--licence": licence,
            "--family": family,
            "--defence": defence,
        }
    )
    checked_slug = ask.check("SLUG", slug, Slug)
    given = ask.several(checkpoint, "Task and checkpoint, as TASK=MODEL")
    checkpoints = dict(_pair(each, "--checkpoint", "TASK=MODEL") for each in given)
    tasks = [get_task(each) for each in sorted(checkpoints, key=_official_order)]
    kind = ask.one("--defence", defence, f"Defence ({_DEFENCES})", Defence.model_fields["kind"].annotation)
    draft = Draft(
        slug=checked_slug,
        name=ask.one("--name", name, "Name that readers see", Line),
        authors=[_author(each, ask) for each in ask.several(author, "Author, as Name <https://...>")],
        licence=ask.one("--licence", licence, "Licence of the checkpoints (SPDX, like Apache-2.0)", Licence),
        family=ask.one("--family", family, "Model family, like Pythia", Line),
        defence=Defence(kind=kind, description=defence_description),
        checkpoints=checkpoints,
        description=description,
        links=[_link(each, ask) for each in link or []],
        compute=_compute(compute or [], checkpoints),
    )
    attacks = chosen_attacks(attack, position)
    check_proposal(attacks, proposal)
    scoring = Scoring(
        settings=Settings.asked(profile, examples, budget, seed),
        attacks=attacks,
        work=scores or Path("scores") / checked_slug,
        proposal=proposal,
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        mirror=mirror,
    )
    try:
        folder = create_entry(draft, tasks, scoring, find_registry(registry), shown)
    except KeyboardInterrupt:
        again = shlex.join(["holdfast", *sys.argv[1:]])
        raise InterruptedRunError(
            f"Interrupted. Every finished example is saved in {scoring.work}; to go on:\n  {again}"
        ) from None
    out.print(f"The entry is in {folder}", markup=False, soft_wrap=True)
    out.print(
        f"Next: look at {folder / 'submission.yaml'}, replay it with `holdfast verify {folder}`, and open a pull "
        "request.",
        markup=False,
        soft_wrap=True,
    )


class _Questions:
    """Answers from options, else from the person at the terminal, each checked at once."""

    def nothing_missing(self, given: Mapping[str, object]) -> None:
        """Raises: UsageError when options are missing and there is nobody to ask."""
        missing = [option for option, value in given.items() if not value]
        if missing and not sys.stdin.isatty():
            raise UsageError(f"There is nobody to ask here; add {', '.join(missing)} to the command.")

    def check(self, option: str, value: str, kind: Any) -> Any:
        """Raises: UsageError when a value cannot be."""
        from pydantic import TypeAdapter, ValidationError

        from ..submissions.manifest import explained

        try:
            return TypeAdapter(kind).validate_python(value)
        except ValidationError as error:
            reason = explained(error.errors(include_url=False)[0])
            raise UsageError(f"{option}: {reason}, and it is {visible(value, 80)!r}.") from error

    def one(self, option: str, value: str | None, question: str, kind: Any) -> Any:
        """The value of an option; asked for, until it is right, where there is none."""
        if value is not None:
            return self.check(option, value, kind)
        while True:
            try:
                return self.check(option, typer.prompt(question, err=True), kind)
            except UsageError as error:
                err.print(str(error), style="red", markup=False, soft_wrap=True)

    def several(self, values: list[str] | None, question: str) -> list[str]:
        """The values of an option; asked for one by one, up to an empty answer, where there are none."""
        if values:
            return values
        answers = [typer.prompt(question, err=True)]
        while more := typer.prompt("Another one, or nothing", default="", show_default=False, err=True):
            answers.append(more)
        return answers


def _official_order(task: str) -> tuple[int, str]:
    return (OFFICIAL_TASKS.index(task) if task in OFFICIAL_TASKS else len(OFFICIAL_TASKS), task)


def _pair(text: str, option: str, form: str) -> tuple[str, str]:
    left, equals, right = text.partition("=")
    if not equals or not left.strip() or not right.strip():
        raise UsageError(f"{option} is written {form}, and not {visible(text, 80)!r}.")
    return left.strip(), right.strip()


def _author(text: str, ask: _Questions) -> "Author":
    from ..submissions.manifest import Author, Line, Link

    match = re.fullmatch(r"(.*?)\s*<([^<>]*)>\s*", text)
    name = ask.check("--author", match[1] if match else text, Line)
    return Author(name=name, url=ask.check("--author", match[2], Link) if match else None)


def _link(text: str, ask: _Questions) -> "WebLink":
    from ..submissions.manifest import Line, Link, WebLink

    title, url = _pair(text, "--link", "'Title=https://...'")
    return WebLink(title=ask.check("--link", title, Line), url=ask.check("--link", url, Link))


def _compute(given: list[str], checkpoints: dict[str, str]) -> "dict[str, TrainingCompute]":
    from ..submissions.manifest import TrainingCompute

    stages: dict[str, dict[str, float]] = {}
    for text in given:
        where, value = _pair(text, "--compute", "TASK.STAGE=FLOP")
        task, _, stage = where.rpartition(".")
        if task not in checkpoints or stage not in TrainingCompute.model_fields:
            raise UsageError(
                f"--compute: {visible(where, 80)!r} is not one of the tasks given with --checkpoint, a dot and one of "
                f"{', '.join(TrainingCompute.model_fields)}."
            )
        try:
            flop = float(value)
        except ValueError:
            flop = -1.0
        if not 0 <= flop <= 1e30:
            raise UsageError(f"--compute: {visible(value, 40)!r} is not an amount of FLOP like 1.5e15.")
        stages.setdefault(task, {})[stage] = flop
    return {task: TrainingCompute(**each) for task, each in stages.items()}
