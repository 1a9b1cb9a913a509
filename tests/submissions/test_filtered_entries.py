"""Entries whose victim is behind a filter: its threshold is set again, from the same texts, by whoever verifies."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from submitted_entries import TASK, said, submit, verify
from tampered import GCG, RANDOM
from victims import as_language_model

from holdfast.benchmark import Settings
from holdfast.benchmark.digest import checkpoint_digest, digest_of_several
from holdfast.benchmark.results import read_result
from holdfast.leaderboard.build import build
from holdfast.submissions.check import check_entry
from holdfast.submissions.checkpoints import checkpoint_folder
from holdfast.submissions.entry import file_of, load_entry
from holdfast.submissions.verdicts import Reproducing
from holdfast.tasks import CheckpointError, get_task

MODEL = checkpoint_folder("password-match-undefended")
PATHS = [f"checkpoints/{MODEL.name}", "checkpoints/reader"]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model with the tokenizer of the bundled classifier."""
    return as_language_model(MODEL, tmp_path_factory.mktemp("models") / "reader", get_task(TASK).labels)


@pytest.fixture(scope="module")
def made(reader: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An entry of the classifier behind that filter, made once."""
    return submit(tmp_path_factory.mktemp("made"), f"kind: filter\nmodel: {MODEL}\nlanguage_model: {reader}\n")


@pytest.fixture
def entry(made: Path, tmp_path: Path) -> Path:
    """The same, in a copy of its registry."""
    return shutil.copytree(made.parents[1], tmp_path / "submissions") / "entries" / made.name


def in_results(entry: Path, **changes: object) -> None:
    for key in (GCG, RANDOM):
        path = file_of(entry, "results", key)
        content = json.loads(path.read_text())
        content["victim"] |= changes
        path.write_text(json.dumps(content))


def test_an_entry_of_a_filter_is_made_from_a_victim_file(made: Path) -> None:
    assert check_entry(made) == []
    task = load_entry(made).manifest.tasks[TASK]
    assert {field: part.model_dump() for field, part in task.checkpoints.items()} == {
        "victim.model": {"path": PATHS[0]},
        "victim.language_model": {"path": PATHS[1]},
    }
    assert task.compute.fine_tuning is None, "nobody knows what the language model took"
    digests = [checkpoint_digest(made.parents[1] / path) for path in PATHS]
    for key in (GCG, RANDOM):
        victim = read_result(file_of(made, "results", key)).victim
        assert (victim.kind, victim.reference) == ("filter", f"{PATHS[0]} behind a filter by {PATHS[1]}")
        assert victim.digest == digest_of_several("filter", digests)
        assert victim.filter_threshold is not None


def test_a_filter_is_replayed_and_reproduced(entry: Path) -> None:
    report = verify(entry, reproducing=Reproducing(examples=6))
    assert report.verified, said(report)
    assert {result.level for result in report.results} == {"reproduced"}
    evidence = load_entry(entry).evidence
    assert all(each.replay.examples == 8 and each.replay.near_ties == 0 for each in evidence.values())
    broken = [record.break_cost is not None for each in load_entry(entry).results.values() for record in each.records]
    assert any(broken), "or this says little"


def test_a_threshold_that_was_made_up_is_found_out(entry: Path) -> None:
    in_results(entry, filter_threshold=99.0)
    assert check_entry(entry) == []
    assert all("victim.filter_threshold: 99.0 is recorded" in each for each in said(verify(entry)))


def test_a_result_without_a_threshold_is_of_no_filter(entry: Path) -> None:
    in_results(entry, filter_threshold=None)
    assert {problem.message for problem in check_entry(entry)} == {
        "victim.filter_threshold: none is recorded, and the manifest has a filter."
    }


def test_a_filter_by_itself_is_another_victim(entry: Path) -> None:
    manifest = yaml.safe_load((entry / "submission.yaml").read_text())
    del manifest["tasks"][TASK]["victim"]["language_model"]
    (entry / "submission.yaml").write_text(yaml.safe_dump(manifest))
    found = [problem.message for problem in check_entry(entry)]
    assert any("victim.digest" in each for each in found)
    assert any("victim.reference" in each for each in found)


def test_a_language_model_can_be_its_own_filter(reader: Path, tmp_path: Path) -> None:
    entry = submit(tmp_path, f"kind: filter\nmodel: {reader}\n", attacks=("random_token",))
    [result] = load_entry(entry).results.values()
    assert result.victim.reference == f"{PATHS[1]} behind a filter by itself"
    assert said(verify(entry)) == []


def test_what_was_scored_in_low_precision_is_reproduced_in_it(reader: Path, tmp_path: Path) -> None:
    file = f"kind: filter\nmodel: {reader}\nlanguage_model: {reader}\n"
    entry = submit(tmp_path, file, attacks=("gcg",), settings=Settings("custom", 3, 5e9), dtype="bfloat16")
    report = verify(entry, reproducing=Reproducing(examples=3))
    assert said(report) == []
    [evidence] = load_entry(entry).evidence.values()
    assert evidence.level == "reproduced"
    assert not evidence.reproduction.same_machine


def test_a_classifier_cannot_be_its_own_filter(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is no causal language model"):
        submit(tmp_path, f"kind: filter\nmodel: {MODEL}\n")
    assert list((tmp_path / "submissions/entries").iterdir()) == []
    assert list((tmp_path / "submissions/checkpoints").iterdir()) == []


def test_the_site_shows_the_filter(made: Path, tmp_path: Path) -> None:
    build(made.parents[1], tmp_path / "site")
    page = (tmp_path / "site/entries/composed.html").read_text()
    assert "behind a filter by" in page
    assert "refuses texts above" in page
    assert all(path in page for path in PATHS)
