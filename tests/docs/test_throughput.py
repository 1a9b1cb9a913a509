"""docs/experiments/throughput.py measures what there is, offline, and without what attacking does not need."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.benchmark.rates import read_rates

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "experiments" / "throughput.py"
WITHOUT = """
import runpy, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("pydantic", "datasets", "pyarrow"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
script, *sys.argv[1:] = sys.argv[1:]
runpy.run_path(script, run_name="__main__")
"""


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)


@pytest.mark.slow
def test_a_device_is_measured_without_what_attacking_does_not_need(tmp_path: Path) -> None:
    out = tmp_path / "rates.json"
    short = ("--shapes", "14m", "--prompts", 60, "--attacks", "gcg", "--seconds", 0.1, "--plain")
    done = run(*short, "--device", "cpu", "--out", out)
    assert done.returncode == 0, done.stderr
    [measured] = json.loads(out.read_text(encoding="utf-8"))["measured"]
    assert measured["parameters"] == 7_629_056
    assert measured["candidates"] >= 128
    assert measured["passes"] == "shared prefix"
    assert 55 <= measured["tokens"] <= 65
    [point] = read_rates(out).points
    assert point.pace.share > 0
    assert point.pace.outside > 0
    # GCG never executes more than candidates that share nothing but their prefix.
    assert 0.1 < point.pace.executed < 1.05


def test_what_cannot_be_measured_is_refused_in_one_line() -> None:
    done = run("--shapes", "14m", "--device", "cuda:77")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "The device 'cuda:77' cannot be used here" in done.stderr
