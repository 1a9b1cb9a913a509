"""The real command line, in this process and in one of its own."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from holdfast.cli import main


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one sentence on standard error of a command that refused."""
        assert self.out == "", f"a refusal prints nothing on standard output: {self.out!r}"
        lines = self.err.splitlines()
        assert len(lines) == 1, f"one sentence, not {self.err!r}"
        assert "should not have happened" not in lines[0]
        return lines[0]


@pytest.fixture
def holdfast(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run a command in this process, through the function that the installed command calls."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["holdfast", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main()
        printed = capfd.readouterr()
        return Outcome(int(exit_.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def holdfast_process(tmp_path: Path) -> Callable[..., Outcome]:
    """Run the installed command in a process of its own, from an empty folder."""

    def run(*arguments: object, **options: object) -> Outcome:
        command = [str(Path(sysconfig.get_path("scripts")) / "holdfast"), *map(str, arguments)]
        environment = {**os.environ, **options.pop("env", {})}  # type: ignore[dict-item]
        settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": tmp_path, "timeout": 120}
        done = subprocess.run(command, env=environment, **(settings | options))  # type: ignore[call-overload]
        return Outcome(done.returncode, done.stdout or "", done.stderr or "")

    return run
