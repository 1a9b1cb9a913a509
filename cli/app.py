"""The `holdfast` command: its commands, and what happens when something goes wrong.

Errors that are the user's to mend are one sentence on standard error and an exit code (docs/cli.md); an interrupted
run says how to go on.
"""

import errno
import io
import sys
import traceback
from importlib.metadata import version
from typing import Annotated

import typer

from ..tasks import HoldfastError, ResourceError
from . import compare, demo, publish, score, show, site, submit, sweep, tasks, train, verify
from .terminal import InterruptedRunError, err, out, visible

_VERBOSE = ("--verbose", "-v")
"""Understood anywhere on the command line, so that it can be added to the end of a command that failed."""

app = typer.Typer(
    name="holdfast",
    help="How much compute does it take to break your classifier?",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("score")(score.score)
app.command("sweep")(sweep.sweep)
app.command("show")(show.show)
app.command("compare")(compare.compare)
app.command("train")(train.train)
app.command("demo")(demo.demo)
app.command("attacks")(tasks.attacks)
app.add_typer(tasks.app, name="tasks")
app.add_typer(submit.app, name="submit")
app.command("verify")(verify.verify)
app.command("publish")(publish.publish)
app.add_typer(site.app, name="site")


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"holdfast {version('holdfast')}")
        raise typer.Exit


@app.callback()
def _holdfast(
    _verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the traceback of an error.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    # `main` has seen to --verbose; it is declared for the help.
    pass


def main() -> None:
    """Run the command line. Exits with 0, or with the code of what went wrong (docs/cli.md)."""
    verbose = any(argument in _VERBOSE for argument in sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character gets its code instead of an error.
            stream.reconfigure(errors="backslashreplace")
    try:
        app(args=[argument for argument in sys.argv[1:] if argument not in _VERBOSE], prog_name="holdfast")
    except HoldfastError as error:
        _say(str(error), verbose)
        sys.exit(error.exit_code)
    except SystemExit as ending:
        if ending.code == InterruptedRunError.exit_code:
            # Typer ends quietly on Ctrl-C.
            err.print("Interrupted.")
        raise
    except MemoryError:
        _say("The machine ran out of memory; score fewer examples, a smaller model, or use a larger machine.", verbose)
        sys.exit(ResourceError.exit_code)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            _say("The disk is full, or the file that the output goes to; free some space and run it again.", verbose)
            sys.exit(ResourceError.exit_code)
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        _say(
            f"This should not have happened ({reason}); run it again with --verbose and report what it shows.", verbose
        )
        sys.exit(1)


def _say(sentence: str, verbose: bool) -> None:
    if verbose:
        traceback.print_exc()
    # A message may quote somebody else's file. Lines are our own: those of how to take up an interrupted run.
    shown = "\n".join(visible(line, 4000) for line in sentence.split("\n"))
    err.print(shown, style="red", markup=False, soft_wrap=True)
