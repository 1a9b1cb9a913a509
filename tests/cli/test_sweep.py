"""`holdfast sweep` scores what a file says, goes on where it was, and past what fails."""

import json
import re
import shutil
import weakref
from pathlib import Path

import pytest

from holdfast.benchmark import OFFICIAL_ATTACKS, Engine, read_result
from holdfast.cli.hosts import Where
from holdfast.submissions.checkpoints import checkpoint_names
from holdfast.submissions.entry import Key, load_entry
from holdfast.submissions.sweep_file import read_sweep
from holdfast.submissions.victim_file import digest_of
from holdfast.tasks import ResourceError

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


@pytest.mark.parametrize("how", ["scored", "failed", "planned"])
def test_a_model_has_left_memory_when_the_next_one_is_loaded(holdfast, checkpoint, tmp_path, monkeypatch, how) -> None:
    for name in "abc":
        shutil.copytree(checkpoint(), tmp_path / name)
    file = tmp_path / "sweep.yaml"
    file.write_text(SWEEP.format(models="a, b, c"))
    loaded: list[weakref.ref] = []
    still_there = []
    load = Where.loaded_here

    def remembered(where, model, proposal):
        still_there.append(sum(each() is not None for each in loaded))
        host = load(where, model, proposal)
        loaded.append(weakref.ref(host.model.model))
        return host

    def fail(*_):
        raise ResourceError("There is no memory left.")

    monkeypatch.setattr(Where, "loaded_here", remembered)
    if how == "failed":
        monkeypatch.setattr(Engine, "_open", fail)
    outcome = holdfast("sweep", file, "--out", tmp_path / "out", *(["--dry-run"] if how == "planned" else []))
    assert outcome.code == (6 if how == "failed" else 0)
    assert still_there == [0, 0, 0]


def test_a_model_that_changed_is_not_taken_for_scored(holdfast, sweep, checkpoint, tmp_path) -> None:
    sweep.write_text(SWEEP.format(models="good"))
    assert holdfast("sweep", sweep, "--out", tmp_path / "out").code == 0
    shutil.rmtree(tmp_path / "good")
    shutil.copytree(checkpoint("gpt2"), tmp_path / "good")
    outcome = holdfast("sweep", sweep, "--out", tmp_path / "out")
    assert outcome.code == 5
    assert "with another victim digest" in outcome.err


def test_another_dtype_is_not_taken_for_scored(holdfast, sweep, tmp_path) -> None:
    sweep.write_text(SWEEP.format(models="good"))
    assert holdfast("sweep", sweep, "--out", tmp_path / "out").code == 0
    outcome = holdfast("sweep", sweep, "--out", tmp_path / "out", "--dtype", "bfloat16")
    assert outcome.code == 5
    assert "with another dtype" in outcome.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models: [good]\ntasks: [imbd]\n", r"sweep\.yaml:2: tasks\.0: .*imbd"),
        ("models: [good]\ntasks:\n  - imdb\n  - 7\n", r"sweep\.yaml:4: tasks\.1: this must be text"),
        ("models: [good]\ntasks: [imdb]\nattack: [gcg]\n", r"sweep\.yaml:3: attack: there is no such field"),
        ("models: [good]\ntasks: [imdb]\nprofile: huge\n", r"sweep\.yaml:3: profile: .*huge"),
        ("models: [good]\ntasks: [imdb]\nbudget: lots\n", r"sweep\.yaml:3: budget: .*lots"),
        ("models: []\ntasks: [imdb]\n", r"sweep\.yaml:1: models: "),
        ("models: [good]\n", r"sweep\.yaml:1: good has no tasks; give it some, or the sweep by `tasks`"),
        ("models: [7]\ntasks: [imdb]\n", r"sweep\.yaml:1: models\.0\.model: this must be text"),
        ("models:\n  - model: good\n    task: [imdb]\n", r"sweep\.yaml:3: models\.0\.task: there is no such field"),
        ("models:\n  - model: good\n    tasks: [imbd]\n", r"sweep\.yaml:3: models\.0\.tasks\.0: .*imbd"),
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


def test_a_model_has_tasks_of_its_own(holdfast, sweep, tmp_path) -> None:
    sweep.write_text(
        "models:\n  - good\n  - model: pair.yaml\n    tasks: [word-length]\n"
        "tasks: [password-match]\nattacks: [random_token]\nexamples: 2\nbudget: 2e8FLOP\n"
    )
    assert holdfast("sweep", sweep, "--out", tmp_path / "out").code == 0
    found = {str(path.parent) for path in files(tmp_path / "out")}
    assert found == {"good/results/password-match", "pair/results/word-length"}


def test_a_profile_can_stand_in_for_what_the_file_says(holdfast, sweep, tmp_path) -> None:
    sweep.write_text("models: [good]\ntasks: [password-match]\nattacks: [random_token]\nexamples: 2\nbudget: 1us\n")
    outcome = holdfast("sweep", sweep, "--profile", "standard", "--dry-run", "--json")
    assert outcome.code == 0
    [planned] = json.loads(outcome.out)
    assert planned["examples"] == 200
    assert max(map(float, planned["iterations"])) == 4e14
    refused = holdfast("sweep", sweep, "--profile", "huge")
    assert refused.code == 2
    assert "huge" in refused.sentence


def test_attacks_can_stand_in_for_those_of_the_file(holdfast, sweep, tmp_path) -> None:
    sweep.write_text("models: [good]\ntasks: [password-match]\nattacks: [random_token]\nexamples: 2\nbudget: 1us\n")
    options = ("--attack", "gcg", "--attack", "beast", "--dry-run", "--json")
    outcome = holdfast("sweep", sweep, *options)
    assert outcome.code == 0
    assert [planned["attack"] for planned in json.loads(outcome.out)] == ["gcg", "beast"]
    refused = holdfast("sweep", sweep, "--attack", "huge")
    assert refused.code == 2
    assert "huge" in refused.sentence


def test_a_sweep_can_be_planned(holdfast, sweep, tmp_path) -> None:
    sweep.write_text(SWEEP.format(models="good, pair.yaml"))
    data = json.loads(holdfast("sweep", sweep, "--dry-run", "--json").out)
    assert [(Path(each["model"]).name, each["task"], each["attack"]) for each in data] == [
        (model, task, attack)
        for model in ("good", "pair.yaml")
        for task in ("password-match", "word-length")
        for attack in ("random_token", "random_token prefix")
    ]
    outcome = holdfast("sweep", sweep, "--dry-run", "--price", "2", "--out", tmp_path / "out")
    assert outcome.code == 0
    assert len([line for line in outcome.out.splitlines() if "random_token" in line]) == 8
    assert "in all. Nothing was attacked." in outcome.out
    assert "at 2 each" in outcome.out
    assert not (tmp_path / "out").exists()
    assert "--price is for a plan" in holdfast("sweep", sweep, "--price", "2").sentence


def test_every_checkpoint_of_the_registry_is_in_the_sweep_of_the_baselines() -> None:
    work = read_sweep(Path(__file__).resolve().parents[2] / "submissions" / "baselines.yaml").work
    assert {Path(model).name for model in work} == set(checkpoint_names())
    for model, tasks in work.items():
        assert [Path(model).name.startswith(task) for task in tasks] == [True]


def test_the_sweep_of_composed_baselines_has_the_victims_of_their_entries() -> None:
    submissions = Path(__file__).resolve().parents[2] / "submissions"
    sweep = read_sweep(submissions / "composed.yaml")
    settings, attacks = sweep.settings(None), sweep.attacks
    for model, tasks in sweep.work.items():
        entry = load_entry(submissions / "entries" / f"holdfast-{Path(model).stem}")
        for task in tasks:
            for attack in attacks or OFFICIAL_ATTACKS:
                result = entry.results[Key(task, attack, "suffix")]
                assert (result.summary.examples, result.budget) == (settings.examples, settings.budget)
                assert result.victim.digest == digest_of(model)
