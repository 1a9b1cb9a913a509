"""`holdfast submit`: from a checkpoint to a checked entry, and what is said when something is missing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest
from made_entries import make_entry

from holdfast.submissions.check import check_entry
from holdfast.submissions.checkpoints import checkpoint_folder
from holdfast.submissions.entry import load_entry, load_registry

CHECKPOINT = checkpoint_folder("password-match-undefended")
SAID = ("--name", "My model", "--author", "Ada <https://example.org>", "--licence", "mit", "--family", "Tiny")
FEW = ("--attack", "gcg", "--profile", "quick", "--device", "cpu")


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    """A results folder with a finished quick score, made once."""
    from holdfast.benchmark import GCG, Settings, get_profile, load_victim, score
    from holdfast.tasks import get_task

    out = tmp_path_factory.mktemp("scores")
    settings = Settings.of(get_profile("quick"))
    score(load_victim(CHECKPOINT, device="cpu"), get_task("password-match").evaluation(), GCG(), settings, out)
    return out


@pytest.fixture
def registry(tmp_path):
    (tmp_path / "registry" / "entries").mkdir(parents=True)
    return tmp_path / "registry"


def test_an_entry_is_made_from_a_checkpoint_and_finished_scores(holdfast, registry, scores, tmp_path):
    done = holdfast(
        *("submit", "new", "my-model", "--checkpoint", f"password-match={CHECKPOINT}", *SAID, "--defence", "none"),
        *("--link", "Card=https://example.org/card", "--description", "Small.", *FEW),
        *("--scores", scores, "--registry", registry),
    )
    assert done.code == 0, done.err
    entry = load_entry(registry / "entries" / "my-model")
    assert check_entry(entry.folder) == []
    assert (entry.level, entry.manifest.licence) == ("scored", "MIT")
    task = entry.manifest.tasks["password-match"]
    # The small local checkpoint was copied into the registry, and its training record says what it cost.
    assert task.checkpoint.path == f"checkpoints/{CHECKPOINT.name}"
    assert task.parameters == 125_824
    assert task.compute.fine_tuning > 1e12
    [result] = entry.results.values()
    assert result.victim.reference == task.checkpoint.path
    assert holdfast("submit", "check", registry).out == "1 entry is sound.\n"


def test_a_slug_that_is_taken_is_refused_before_anything_is_scored(holdfast, registry, tmp_path):
    make_entry(registry.parent / "registry2", "my-model")
    done = holdfast(
        *("submit", "new", "my-model", "--checkpoint", f"password-match={CHECKPOINT}", *SAID, "--defence", "none"),
        *("--registry", registry.parent / "registry2", "--scores", tmp_path / "none"),
    )
    assert done.code == 2
    assert "There is already an entry" in done.sentence
    assert not (tmp_path / "none").exists()


REFUSED = {
    "nothing said": ((), "add --checkpoint, --name, --author, --licence, --family, --defence"),
    "a checkpoint without its task": (("--checkpoint", "model"), "--checkpoint is written TASK=MODEL"),
    "an unknown task": (("--checkpoint", "passwords=model"), "There is no task 'passwords'"),
    "an author's link that is none": (("--author", "Ada <ftp://x.org>"), "--author: only links that begin with http"),
    "a licence of one's own": (("--licence", "mine"), "--licence: this is not an SPDX licence expression"),
    "a defence nobody knows": (("--defence", "prayer"), "--defence: input should be 'none'"),
    "a link without a title": (("--link", "https://x.org"), "--link is written 'Title=https://...'"),
    "compute of another task": (("--compute", "imdb.defence=1e15"), "--compute: 'imdb.defence' is not one of the"),
    "compute that is no number": (("--compute", "password-match.defence=lots"), "--compute: 'lots' is not an amount"),
    "no registry": (("--registry", "nowhere"), "nowhere is not a registry"),
    "a description that hides something": (("--description", "a\u202eb"), "U+202E is not allowed"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_submitted_is_said_in_one_sentence(holdfast, registry, tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    options, message = REFUSED[what]
    given = {
        "--checkpoint": f"password-match={CHECKPOINT}",
        **dict(zip(SAID[::2], SAID[1::2], strict=True)),
        "--defence": "none",
        "--registry": str(registry),
    }
    given |= dict(zip(options[::2], options[1::2], strict=True))
    arguments = [part for pair in given.items() for part in pair] if options else []
    done = holdfast("submit", "new", "my-model", *arguments)
    assert done.code == 2
    assert message in done.sentence
    assert load_registry(registry) == []


def test_all_problems_of_all_entries_are_listed_with_one_exit_code(holdfast, registry):
    for slug in ("one", "two"):
        folder = make_entry(registry, slug)
        (folder / "stray\u202e.txt").touch()
    done = holdfast("submit", "check", registry)
    assert done.code == 5
    assert done.err.count("an entry has no such file") == 2
    assert "\u202e" not in done.err
    assert done.err.splitlines()[-1] == "2 problems in 2 of 2 entries; mend them and check again."
    listed = json.loads(holdfast("submit", "check", registry, "--json").out)
    assert [problem["line"] for problem in listed["problems"]] == [None, None]


def test_an_entry_may_have_a_budget_of_its_own(holdfast, registry, tmp_path):
    """Examples and budget in place of the profile's, as `score` takes them."""
    done = holdfast(
        *("submit", "new", "my-model", "--checkpoint", f"password-match={CHECKPOINT}", *SAID, "--defence", "none"),
        *("--attack", "random_token", "--profile", "lite", "--examples", 12, "--budget", "0.01ms", "--device", "cpu"),
        *("--scores", tmp_path / "scores", "--registry", registry),
    )
    assert done.code == 0, done.err
    entry = load_entry(registry / "entries" / "my-model")
    assert check_entry(entry.folder) == []
    [result] = entry.results.values()
    assert (result.profile, result.summary.examples, result.budget) == ("custom", 12, 4e9)


@pytest.mark.slow
def test_killed_at_any_moment_no_half_made_entry_appears(registry, scores, tmp_path):
    command = [
        *(str(Path(sysconfig.get_path("scripts")) / "holdfast"), "submit", "new", "my-model"),
        *("--checkpoint", f"password-match={CHECKPOINT}", *SAID, "--defence", "none", *FEW),
        *("--scores", str(scores), "--registry", str(registry)),
    ]
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    whole = time.monotonic() - started
    for share in (0.6, 0.8, 0.9, 0.95, 0.98):
        shutil.rmtree(registry / "entries" / "my-model", ignore_errors=True)
        shutil.rmtree(registry / "checkpoints", ignore_errors=True)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(whole * share)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for entry in load_registry(registry):
            assert check_entry(entry.folder) == []
    shutil.rmtree(registry / "entries" / "my-model", ignore_errors=True)
    subprocess.run(command, check=True, capture_output=True)
    assert [entry.slug for entry in load_registry(registry)] == ["my-model"]
    assert [path.name for path in (registry / "entries").iterdir()] == ["my-model"]


def test_what_is_not_given_is_asked_for_at_a_terminal(registry, scores, tmp_path):
    import pty

    command = [
        *(sys.executable, "-c", "from holdfast.cli import main; main()", "submit", "new", "my-model"),
        *("--checkpoint", f"password-match={CHECKPOINT}", "--author", "Ada", "--family", "Tiny", "--defence", "none"),
        *(*FEW, "--scores", str(scores), "--registry", str(registry)),
    ]
    process, terminal = pty.fork()
    if process == 0:
        os.execv(command[0], command)
    os.write(terminal, b"My model\nnot a licence\nMIT\n")
    printed = b""
    try:
        while block := os.read(terminal, 4096):
            printed += block
    except OSError:
        pass  # how a terminal says that the other side has gone
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0, printed.decode()
    assert b"not an SPDX licence expression" in printed
    assert load_entry(registry / "entries" / "my-model").manifest.licence == "MIT"


def test_a_victim_file_that_declares_nothing_known_is_refused_before_anything_is_scored(holdfast, registry, tmp_path):
    (tmp_path / "pair.yaml").write_text("kind: committee\nmembers: [a, b]\n")
    refused = holdfast(
        *("submit", "new", "my-pair", "--checkpoint", f"password-match={tmp_path / 'pair.yaml'}", *SAID),
        *("--defence", "ensemble", *FEW, "--registry", registry),
    )
    assert refused.code == 5
    assert "pair.yaml:1: kind: input should be 'ensemble' or 'filter'" in refused.sentence
