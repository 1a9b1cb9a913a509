"""`holdfast verify` as it is typed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from scored_entries import SLUG
from tampered import GCG, forged, in_manifest

from holdfast.submissions.evidence import read_evidence

OK, USAGE, VERIFICATION, INTERRUPTED = 0, 2, 8, 130
QUICK = ("--device", "cpu", "--by", "Ada Tester")


def a_false_string(entry: Path) -> None:
    with forged(entry) as forgery:
        forgery.rows[0]["attack_string"] += "\u202e\x1b[31m"


def copies(entry: Path, *names: str) -> None:
    for name in names:
        other = shutil.copytree(entry, entry.parent / name)
        in_manifest(f"slug: {SLUG}", f"slug: {name}")(other)


def test_a_sound_entry_is_verified_and_kept_the_next_time(holdfast: Callable, scored: Path) -> None:
    outcome = holdfast("verify", scored, *QUICK)
    assert (outcome.code, outcome.err) == (OK, "")
    assert outcome.out.count("replayed") == 2
    assert "2 records of evidence written in the entries" in outcome.out
    again = holdfast("verify", scored, *QUICK)
    assert again.out.count("kept") == 2
    assert "written" not in again.out


def test_by_slug_with_evidence_elsewhere_and_as_json(holdfast: Callable, scored: Path, tmp_path: Path) -> None:
    outcome = holdfast(
        "verify", SLUG, "--registry", scored.parents[1], "--out", tmp_path / "out", "--json", *QUICK, "--reproduce", "6"
    )
    assert outcome.code == OK
    [entry] = json.loads(outcome.out)
    assert (entry["entry"], entry["verified"], entry["problems"]) == (SLUG, True, [])
    assert [result["evidence"] for result in entry["results"]] == ["reproduced", "reproduced"]
    evidence = read_evidence(tmp_path / "out" / SLUG / "evidence" / "password-match" / "gcg-suffix.json")
    assert evidence.verified_by == "Ada Tester"
    assert not (scored / "evidence").exists()


def test_all_problems_of_all_entries_are_said_and_hostile_text_is_made_visible(
    holdfast: Callable, scored: Path
) -> None:
    copies(scored, "untrue", "broken")
    a_false_string(scored.parent / "untrue")
    in_manifest("licence: Apache-2.0", "licence: mine")(scored.parent / "broken")
    outcome = holdfast("verify", "--all", "--registry", scored.parents[1], *QUICK)
    assert outcome.code == VERIFICATION
    lines = outcome.err.splitlines()
    assert lines[0].startswith("broken: submission.yaml:6: licence: this is not an SPDX licence expression")
    assert lines[1].startswith(
        "untrue: password-match × gcg-suffix: password-match-69dcb67ae5e5: its attack tokens write"
    )
    assert lines[-1] == "2 problems in 2 of 3 entries; what did not prove true got no evidence."
    assert "\u202e" not in outcome.err
    assert "\x1b" not in outcome.err
    assert outcome.out.count("replayed") == 3
    assert "refused" in outcome.out


def test_figures_from_a_publication_are_no_problem(holdfast: Callable) -> None:
    registry = Path(__file__).parents[2] / "submissions"
    outcome = holdfast("verify", "pythia-14m-finetuned", "--registry", registry, *QUICK)
    assert outcome.code == OK
    assert outcome.out == "1 entry has figures from a publication, which cannot be replayed.\n"


def test_pytorch_is_left_to_the_process_with_limits() -> None:
    registry = Path(__file__).parents[2] / "submissions"
    code = (
        "import atexit, sys; from holdfast.cli import main; "
        "atexit.register(lambda: print({'torch', 'transformers'} & set(sys.modules))); "
        f"sys.argv[1:] = ['verify', 'pythia-14m-finetuned', '--registry', {str(registry)!r}, '--by', 'Ada Tester']; "
        "main()"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).endswith("cannot be replayed.\nset()\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Name the entries to verify, or give --all"),
        (["x", "--all"], "Name the entries to verify, or give --all"),
        (["no-such-entry"], "There is no entry no-such-entry; give its folder, or its slug"),
        (["../entries"], "There is no entry ../entries"),
        ([SLUG, "--reproduce", "3"], "ask for at least 6"),
        ([SLUG, "--seed", "1"], "--seed and --reproduce-budget are about --reproduce"),
        ([SLUG, "--reproduce", "6", "--reproduce-budget", "much"], "The budget 'much' is not"),
        ([SLUG, "--timeout", "0"], "--timeout must be a positive number"),
        ([SLUG, "--memory", "nan"], "--memory must be a positive number"),
        ([SLUG, "--device", "abacus"], "The device 'abacus' cannot be used here"),
        ([SLUG, "--by", "a\u202eb"], "--by: the character U+202E is not allowed"),
        ([SLUG, "--by", " "], "--by: the text is empty"),
    ],
)
def test_arguments_that_cannot_be(holdfast: Callable, scored: Path, arguments: list[str], sentence: str) -> None:
    outcome = holdfast("verify", *arguments, "--registry", scored.parents[1])
    assert outcome.code == USAGE
    assert sentence in outcome.sentence
    assert not (scored / "evidence").exists()


@pytest.mark.slow
def test_interrupted_it_says_how_to_go_on_and_goes_on(scored: Path, tmp_path: Path) -> None:
    names = [f"copy-{number}" for number in range(3)]
    copies(scored, *names)
    command = [str(Path(sysconfig.get_path("scripts")) / "holdfast"), "verify", "--all", "--registry"]
    command += [str(scored.parents[1]), *QUICK]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    )
    for _ in range(12_000):
        if list(scored.parent.glob("*/evidence/*/*.json")) or process.poll() is not None:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == INTERRUPTED, err
    assert "is kept; to go on:\n  holdfast verify --all" in err
    done = sum(1 for path in scored.parent.glob("*/evidence/*/*.json") if read_evidence(path))
    assert 0 < done < 8
    again = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=600, check=True, cwd=tmp_path)
    results = [result for entry in json.loads(again.stdout) for result in entry["results"]]
    assert sum(result["kept"] for result in results) == done
    assert len(results) == 8
    assert all(result["evidence"] == "replayed" for result in results)


def test_a_false_result_keeps_no_one_elses_evidence_back(holdfast: Callable, scored: Path) -> None:
    a_false_string(scored)
    outcome = holdfast("verify", scored, *QUICK, "--json")
    assert outcome.code == VERIFICATION
    [entry] = json.loads(outcome.out)
    found = {result["attack"]: (result["evidence"], len(result["problems"])) for result in entry["results"]}
    assert found == {GCG.attack: ("scored", 1), "random_token": ("replayed", 0)}
