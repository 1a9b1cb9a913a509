"""`holdfast sweep` scores what a file says, goes on where it was, and past what fails."""

import json
import re
import shutil
from pathlib import Path

import pytest

from holdfast.benchmark import read_result

SWEEP = """\
models: [{models}]
tasks: [password-match, word-length]
attacks: [random_token]
positions: [suffix, prefix]
examples: 3
budget: 2e8FLOP
"""


@pytest.fixture
def sweep(checkpoint, tmp_path: Path) -> Path:
    """A sweep over a model, one that cannot be used, and a victim file."""
    shutil.copytree(checkpoint(), tmp_path / "good")
    (tmp_path / "broken").mkdir()
    (tmp_path / "pair.yaml").write_text("kind: ensemble\nmembers: [good, good]\n")
    file = tmp_path / "sweep.yaml"
    file.write_text(SWEEP.format(models="good, broken, pair.yaml"))
    return file


def files(out: Path) -> dict[Path, int]:
    """Every result, and when it was written."""
    return {path.relative_to(out): path.stat().st_mtime_ns for path in out.glob("*/results/*/*.json")}


def test_a_sweep_scores_everything_goes_past_what_fails_and_does_nothing_twice(holdfast, sweep, tmp_path) -> None:
    out = tmp_path / "out"
    outcome = holdfast("sweep", sweep, "--out", out)
    assert outcome.code == 3, "that of a checkpoint that cannot be used"
    assert len(files(out)) == 8
    assert "1 of 3 models failed:" in outcome.err
    assert "has no config.json" in outcome.err
    table = [line.split() for line in outcome.out.splitlines()]
    assert sum("password-match" in line for line in table) == 2

    written = files(out)
    missing = out / "good" / "results" / "word-length" / "random_token-prefix.json"
    score = read_result(missing).score()
    missing.unlink()
    again = holdfast("sweep", sweep, "--out", out, "--json")
    assert again.code == 3
    changed = {path for path, at in files(out).items() if at != written[path]}
    assert changed == {missing.relative_to(out)}
    assert read_result(missing).score() == score
    assert len(json.loads(again.out)) == 8


def test_a_model_that_changed_is_not_taken_for_scored(holdfast, sweep, checkpoint, tmp_path) -> None:
    sweep.write_text(SWEEP.format(models="good"))
    assert holdfast("sweep", sweep, "--out", tmp_path / "out").code == 0
    shutil.rmtree(tmp_path / "good")
    shutil.copytree(checkpoint("gpt2"), tmp_path / "good")
    outcome = holdfast("sweep", sweep, "--out", tmp_path / "out")
    assert outcome.code == 5
    assert "with another victim digest" in outcome.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models: [good]\ntasks: [imbd]\n", r"sweep\.yaml:2: tasks\.0: .*imbd"),
        ("models: [good]\ntasks:\n  - imdb\n  - 7\n", r"sweep\.yaml:4: tasks\.1: this must be text"),
        ("models: [good]\ntasks: [imdb]\nattack: [gcg]\n", r"sweep\.yaml:3: attack: there is no such field"),
        ("models: [good]\ntasks: [imdb]\nprofile: huge\n", r"sweep\.yaml:3: profile: .*huge"),
        ("models: [good]\ntasks: [imdb]\nbudget: lots\n", r"sweep\.yaml:3: budget: .*lots"),
        ("models: []\ntasks: [imdb]\n", r"sweep\.yaml:1: models: "),
        ("models: [good]\n", r"sweep\.yaml:1: tasks: this field is required"),
        ("models: [good\n", r"sweep\.yaml:2: "),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_line(holdfast, sweep, tmp_path, text: str, said: str) -> None:
    sweep.write_text(text)
    outcome = holdfast("sweep", sweep, "--out", tmp_path / "out")
    assert outcome.code == 5
    assert re.search(said, outcome.sentence)


def test_two_models_do_not_share_a_folder(holdfast, sweep, tmp_path) -> None:
    shutil.copytree(tmp_path / "good", tmp_path / "other" / "good")
    sweep.write_text(SWEEP.format(models="good, other/good"))
    outcome = holdfast("sweep", sweep, "--out", tmp_path / "out")
    assert outcome.code == 5
    assert "rename one of them" in outcome.sentence
