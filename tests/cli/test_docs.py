"""docs/cli.md names every command, every option and every exit code, and none that there is not."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from holdfast.cli.app import app
from holdfast.cli.terminal import InterruptedRunError
from holdfast.tasks import HoldfastError

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")


def commands() -> Iterator[tuple[str, list[set[str]]]]:
    """Every command as it is typed, with its options, each the set of its spellings."""
    waiting = [("holdfast", typer.main.get_command(app))]
    while waiting:
        name, command = waiting.pop()
        options = [{*each.opts, *each.secondary_opts} for each in command.params if each.param_type_name == "option"]
        yield name, options
        waiting.extend((f"{name} {each}", child) for each, child in getattr(command, "commands", {}).items())


COMMANDS = dict(commands())


def section(command: str) -> str:
    """What the page says under the heading of a command, up to the next heading that is not below it."""
    match = re.search(rf"^(#+) {command}\n(.*?)(?=^#+ holdfast|^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert match, f"docs/cli.md has no heading for `{command}`"
    return match[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_documented_with_all_its_options(command: str) -> None:
    text = section(command)
    for spellings in COMMANDS[command]:
        for spelling in spellings:
            assert f"`{spelling}`" in text, f"docs/cli.md lacks {spelling} of `{command}`"


@pytest.mark.parametrize("command", COMMANDS)
def test_no_option_is_documented_that_is_not_there(command: str) -> None:
    known = {spelling for spellings in COMMANDS[command] for spelling in spellings} | {"--help", "-h"}
    rows = re.findall(r"^\| (`-[^|]*) \|", section(command), re.MULTILINE)
    documented = {spelling for row in rows for spelling in re.findall(r"`(-[^`]*)`", row)}
    assert documented <= known


def test_every_exit_code_is_documented() -> None:
    rows = re.findall(r"^\| (\d+) \| [^|]+ \| (?:`(\w+)`)?", section("Exit codes"), re.MULTILINE)
    documented = {int(code): kind for code, kind in rows}
    assert documented == {
        0: "",
        HoldfastError.exit_code: "",
        InterruptedRunError.exit_code: "",
        **{
            error.exit_code: error.__name__
            for error in HoldfastError.__subclasses__()
            if error is not InterruptedRunError
        },
    }
