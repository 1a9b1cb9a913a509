"""The worked package under docs/examples/: its attack and its task, installed as anybody's, at work everywhere."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from holdfast.benchmark import OFFICIAL_ATTACKS, Result, get_attack, load_victim, read_result
from holdfast.benchmark.attacks import Search
from holdfast.leaderboard.checking import check_site
from holdfast.submissions.adversary import official_adversary
from holdfast.submissions.check import check_entry
from holdfast.submissions.declared import RegistryCheckpoint
from holdfast.submissions.entry import load_entry
from holdfast.submissions.manifest import (
    MANIFEST_FILE,
    Author,
    Defence,
    Manifest,
    TaskEntry,
    manifest_yaml,
)
from holdfast.tasks import OFFICIAL_TASKS, RecordError, get_task, task_names

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "extension"
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
UNDEFENDED = ROOT / "submissions" / "checkpoints" / "password-match-undefended"
ATTACKS = (*OFFICIAL_ATTACKS, "block_search")

Command = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pip installed the package into, from a copy, so that the checkout stays as it is."""
    source = shutil.copytree(EXAMPLE, tmp_path_factory.mktemp("source") / "extension")
    target = tmp_path_factory.mktemp("installed")
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "install", *offline, "--target", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def holdfast(installed: Path, registry: Path) -> Command:
    """The command in a process of its own, in the registry, with the package or without."""

    def run(*arguments: object, package: bool = True) -> subprocess.CompletedProcess[str]:
        settings = {"CUDA_VISIBLE_DEVICES": "", "COLUMNS": "120", "PYTHONPATH": str(installed) if package else ""}
        done = subprocess.run(
            [str(Path(sysconfig.get_path("scripts")) / "holdfast"), *map(str, arguments)],
            cwd=registry,
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert "Traceback" not in done.stdout + done.stderr
        assert "should not have happened" not in done.stderr
        return done

    return run


@pytest.fixture
def here(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package, installed in this process."""
    monkeypatch.syspath_prepend(installed)
    yield
    for module in [name for name in sys.modules if name.split(".")[0] == "holdfast_example"]:
        del sys.modules[module]


@pytest.fixture(scope="module")
def entry(holdfast: Command, registry: Path) -> Path:
    """An entry with a classifier that was trained for the task, attacked by the official attacks and by theirs."""
    made = holdfast("train", "--task", "shouting", "--out", "checkpoints/loud", "--examples", 1000, "--epochs", 3)
    assert made.returncode == 0, made.stderr
    folder = registry / "entries" / "theirs"
    attacks = [part for attack in ATTACKS for part in ("--attack", attack)]
    limits = ["--examples", 10, "--budget", "8e9FLOP"]
    scored = holdfast("score", "checkpoints/loud", "--task", "shouting", *attacks, *limits, "--out", folder)
    assert scored.returncode == 0, scored.stderr
    shutil.rmtree(folder / "records", ignore_errors=True)
    (folder / ".lock").unlink(missing_ok=True)
    [victim] = {result.victim for result in results_of(folder).values()}
    manifest = Manifest(
        schema_version=1,
        slug=folder.name,
        name="With a package of theirs",
        authors=[Author(name="Ada Tester")],
        licence="Apache-2.0",
        submitted=date(2026, 1, 31),
        family="GPT-NeoX",
        defence=Defence(kind="none"),
        tasks={
            "shouting": TaskEntry(checkpoint=RegistryCheckpoint(path="checkpoints/loud"), parameters=victim.parameters)
        },
    )
    (folder / MANIFEST_FILE).write_bytes(manifest_yaml(manifest))
    return folder


def results_of(folder: Path, task: str = "shouting") -> dict[str, Result]:
    found = [read_result(path) for path in sorted((folder / "results" / task).glob("*.json"))]
    return {result.attack.name: result for result in found}


def test_attack_and_task_are_listed_after_ours(holdfast: Command) -> None:
    tasks, attacks = holdfast("tasks", "list").stdout, holdfast("attacks").stdout
    assert re.findall(r"^(\S+)", tasks, re.MULTILINE)[1:] == [*OFFICIAL_TASKS, "shouting"]
    listed = re.findall(r"^(\S+)", attacks, re.MULTILINE)[1:]
    assert listed[: len(OFFICIAL_ATTACKS)] == list(OFFICIAL_ATTACKS)
    assert "block_search" in listed[len(OFFICIAL_ATTACKS) :]


@pytest.mark.usefixtures("here")
def test_the_task_pins_its_examples_and_their_labels_are_true() -> None:
    assert task_names()[-1] == "shouting"
    task = get_task("shouting")
    evaluation = task.evaluation()
    assert evaluation.mismatch is None
    for example in (*evaluation.examples, *task.training(1000)):
        message = example.before.splitlines()[-1].removeprefix("Message: ").split()
        assert sum(word.isupper() for word in message) == example.label
        assert (example.before[-1], example.after[0]) == ("\n", "\n"), "the slot is on a line of its own"


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("name", "length"), [("block_search", 10), ("block_search-3", 3)])
def test_the_attack_redraws_one_short_block_and_draws_only_from_the_examples_stream(name: str, length: int) -> None:
    attack = get_attack(name)
    vocabulary = load_victim(UNDEFENDED, device="cpu").vocabulary
    best = vocabulary.draw(np.random.default_rng(0), 1, length)[0]
    strings = attack.propose(Search(np.random.default_rng(1), vocabulary, best), 200)
    changed = strings != best
    assert strings.shape == (200, length)
    assert np.isin(strings, vocabulary.ids).all()
    assert set(changed.sum(axis=1)) >= set(range(1, min(4, length) + 1)), "blocks of every size"
    assert changed.any(axis=0).all(), "blocks at every place"
    spans = [np.ptp(np.flatnonzero(row)) + 1 for row in changed if row.any()]
    assert max(spans) <= 4
    assert (attack.propose(Search(np.random.default_rng(1), vocabulary, best), 200) == strings).all()


def test_their_attack_breaks_a_classifier_of_ours(holdfast: Command, tmp_path: Path) -> None:
    asked = ["--task", "password-match", "--attack", "block_search", "--examples", 20, "--budget", "0.1ms"]
    done = holdfast("score", UNDEFENDED, *asked, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "block_search" in done.stdout
    [(name, result)] = results_of(tmp_path, "password-match").items()
    assert name == "block_search"
    assert result.attack.parameters == {"length": 10, "candidates": 16, "longest": 4}
    assert result.summary.broken > 10
    iteration = 16 * 2 * result.victim.parameters
    assert all(record.cost == record.iterations * iteration * record.tokens for record in result.records)


def test_a_classifier_can_be_trained_for_their_task_and_attacked_there(entry: Path, registry: Path) -> None:
    training = json.loads((registry / "checkpoints" / "loud" / "training.json").read_text(encoding="utf-8"))
    assert training["clean_accuracy"] > 0.9
    results = results_of(entry)
    assert set(results) == set(ATTACKS)
    for result in results.values():
        assert (result.task.name, result.task.version, result.task.official) == ("shouting", 1, True)
        assert result.summary.clean_accuracy > 0.9
    assert results["block_search"].summary.broken > 0


def test_their_attack_stands_on_its_own_and_not_in_the_official_adversary(holdfast: Command, entry: Path) -> None:
    shown = {each["attack"]: each for each in json.loads(holdfast("show", entry, "--json").stdout)}
    assert set(shown) == {*ATTACKS, "official adversary"}
    results = results_of(entry)
    adversary = official_adversary(list(results.values()))
    assert adversary.attacks == OFFICIAL_ATTACKS
    earlier = zip(results["block_search"].records, adversary.records, strict=True)
    assert any((one.break_cost or np.inf) < (other.break_cost or np.inf) for one, other in earlier), (
        "it would have made a difference"
    )


@pytest.mark.usefixtures("here")
def test_an_entry_with_them_is_sound_and_replayed_where_the_package_is_installed(
    holdfast: Command, entry: Path
) -> None:
    assert check_entry(entry) == []
    verified = holdfast("verify", entry, "--device", "cpu")
    assert verified.returncode == 0, verified.stderr
    found = load_entry(entry)
    assert {found.level_of(key) for key in found.results} == {"replayed"}


def test_without_the_package_an_entry_is_refused_by_name_and_can_still_be_read(holdfast: Command, entry: Path) -> None:
    checked = holdfast("submit", "check", entry, package=False)
    assert checked.returncode == RecordError.exit_code
    assert "results/shouting/block_search-suffix.json: attack.name: There is no attack 'block_search'" in checked.stderr
    assert "results/shouting/gcg-suffix.json: task.name: There is no task 'shouting'" in checked.stderr
    shown, compared = holdfast("show", entry, package=False), holdfast("compare", entry, entry, package=False)
    assert (shown.returncode, compared.returncode) == (0, 0), shown.stderr + compared.stderr
    assert "block_search" in shown.stdout
    assert "block_search" in compared.stdout


@pytest.mark.parametrize("package", [True, False], ids=["installed", "not installed"])
def test_the_site_shows_them_with_and_without_the_package(
    package: bool, holdfast: Command, registry: Path, entry: Path, tmp_path: Path
) -> None:
    built = holdfast("site", "build", registry, "--out", tmp_path / "site", package=package)
    assert built.returncode == 0, built.stderr
    assert ("no installed package has such a task" in built.stderr) is not package
    names = (f"entries/{entry.name}.html", "tasks/shouting.html", "leaderboard/shouting.html")
    pages = {name: (tmp_path / "site" / name).read_text(encoding="utf-8") for name in names}
    assert ("Is one of them in capital letters?" in pages["tasks/shouting.html"]) is package
    for name, page in pages.items():
        assert "block search, suffix" in page, name
    assert check_site(tmp_path / "site") == []


def test_the_page_shows_the_package_as_it_is() -> None:
    blocks = re.findall(r"^```(?:python|toml)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    files = [path.read_text(encoding="utf-8") for path in EXAMPLE.rglob("*") if path.suffix in (".py", ".toml")]
    assert len(blocks) == 3
    for block in blocks:
        assert any(block in file for file in files), block
