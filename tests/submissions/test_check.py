"""`submit check`: a sound entry passes, and every problem of another is named at once."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from made_entries import make_entry
from tampered import Forged, lying

from holdfast.benchmark import OFFICIAL_ATTACKS
from holdfast.submissions.bounded import Limits
from holdfast.submissions.bounded_check import check_bounded
from holdfast.submissions.check import check_entry
from holdfast.submissions.entry import Key, entry_folders, file_of, find_entry, load_entry, load_registry
from holdfast.tasks import RecordError

REGISTRY = Path(__file__).resolve().parents[2] / "submissions"
GCG = Key("password-match", "gcg", "suffix")


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    return make_entry(tmp_path)


def messages(folder: Path) -> list[str]:
    return [str(problem) for problem in check_entry(folder)]


def test_a_sound_entry_has_no_problems_and_is_read(entry: Path) -> None:
    assert messages(entry) == []
    read = load_entry(entry)
    assert (read.slug, read.level) == ("made-up", "scored")
    assert [str(key) for key in read.results] == [
        f"password-match × {name}-suffix" for name in sorted(OFFICIAL_ATTACKS)
    ]


def test_an_entry_is_found_by_folder_and_by_slug(entry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_entry("made-up", tmp_path) == entry
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_entry("~/entries/made-up", None) == entry
    monkeypatch.chdir(entry)
    assert find_entry(".", None).name == "made-up"


def test_a_folder_that_is_a_link_stays_one_and_is_refused(entry: Path, tmp_path: Path) -> None:
    link = tmp_path / "entries" / "other"
    link.symlink_to(entry)
    for text, registry in ((str(link), None), ("other", tmp_path)):
        found = find_entry(text, registry)
        assert found.is_symlink()
        assert [problem.file for problem in check_entry(found)] == [link]


def test_a_trace_that_lies_about_its_size_ends_only_the_process_it_is_read_in(entry: Path) -> None:
    limits = Limits(seconds=120, memory=1_000_000_000)
    assert check_bounded(entry, limits=limits) == []
    forgery = Forged(entry, GCG)
    forgery.write_trace(lying({**forgery.rows[0], "attack_string": f"{i:100000000}"} for i in range(12)))
    assert file_of(entry, "traces", GCG).stat().st_size < 1_000_000
    [problem] = check_bounded(entry, limits=limits)
    assert re.search("checking it was stopped: it used more than 1 GB|alloc of size", problem.message)


def test_problems_are_the_same_in_a_process_with_limits(entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (entry / "notes.txt").touch()
    monkeypatch.chdir(entry.parent)
    folder = Path(entry.name)
    assert check_bounded(folder) == check_entry(folder) != []


@pytest.mark.parametrize("folder", sorted(entry_folders(REGISTRY)), ids=lambda folder: folder.name)
def test_every_entry_of_the_registry_is_sound(folder: Path) -> None:
    assert messages(folder) == []


def link(target: str) -> Callable[[Path], None]:
    def change(entry: Path) -> None:
        path = file_of(entry, "traces", GCG)
        path.unlink()
        path.symlink_to(target)

    return change


def sparse(size: int, kind: str) -> Callable[[Path], None]:
    return lambda entry: os.truncate(file_of(entry, kind, GCG), size)


def many_files(entry: Path) -> None:
    for number in range(500):
        (entry / "results" / "password-match" / f"a{number}-suffix.json").touch()


def large_files(entry: Path) -> None:
    for number in range(40):
        path = entry / "results" / "password-match" / f"a{number}-suffix.json"
        path.touch()
        os.truncate(path, 990_000)


FILES = {
    "a stray file": (lambda entry: (entry / "notes.txt").touch(), "notes.txt: an entry has no such file"),
    "a hidden file": (lambda entry: (entry / ".env").touch(), ".env: an entry has no such file"),
    "a file a level deeper": (
        lambda entry: [(entry / "results/imdb/x").mkdir(parents=True), (entry / "results/imdb/x/a-b.json").touch()],
        "an entry has no such file",
    ),
    "a name with a line break": (lambda entry: (entry / "results/password-match/a\nb-suffix.json").touch(), "no such"),
    "a name that looks alike": (lambda entry: (entry / "submissi\u043en.yaml").touch(), "no such file"),
    "a link out": (link("/etc/passwd"), "links are not allowed"),
    "a link to nothing": (link("nothing"), "links are not allowed"),
    "a pipe": (lambda entry: os.mkfifo(entry / "results" / "pipe"), "neither a file nor a folder"),
    "a folder that is a link": (
        lambda entry: [
            shutil.move(entry / "traces", entry.parent.parent),
            (entry / "traces").symlink_to("../../traces"),
        ],
        "links are not allowed",
    ),
    "too many files": (many_files, "more than 400 files"),
    "too much in all": (large_files, "its files are too large"),
    "a result of a gigabyte": (sparse(10**9, "results"), "its files are too large"),
    "a result beyond its limit": (sparse(1_500_000, "results"), "too large: 1,500,000 bytes"),
    "a trace beyond its limit": (sparse(3_000_000, "traces"), "too large: 3,000,000 bytes"),
    "no manifest": (lambda entry: (entry / "submission.yaml").unlink(), "There is no file"),
    "no trace": (lambda entry: file_of(entry, "traces", GCG).unlink(), "There is no file"),
    "no result": (lambda entry: file_of(entry, "results", GCG).unlink(), "there is no result that this belongs to"),
    "no results at all": (
        lambda entry: [shutil.rmtree(entry / "results"), shutil.rmtree(entry / "traces")],
        "tasks.password-match: there is no result for it",
    ),
}


@pytest.mark.parametrize("what", FILES)
def test_files_that_have_no_place_in_an_entry(entry: Path, what: str) -> None:
    change, message = FILES[what]
    change(entry)
    assert any(message in each for each in messages(entry)), messages(entry)


def test_a_slug_must_be_the_folders_name(entry: Path) -> None:
    other = entry.rename(entry.with_name("other"))
    assert messages(other) == [f"{other}/submission.yaml:2: slug: it is made-up, and the folder is called other."]


def test_an_entry_reached_through_a_link_is_not_opened(entry: Path) -> None:
    other = entry.with_name("other")
    other.symlink_to(entry)
    assert "is not the folder of an entry" in messages(other)[0]


def test_another_checkpoint_under_the_same_name_is_noticed(entry: Path) -> None:
    config = entry.parent.parent / "checkpoints" / "password-match-undefended" / "config.json"
    config.write_text(config.read_text() + " ")
    found = messages(entry)
    assert len(found) == len(OFFICIAL_ATTACKS)
    assert all("victim.digest" in each for each in found)


def test_a_checkpoint_that_is_a_link_or_missing_is_noticed(entry: Path) -> None:
    weights = entry.parent.parent / "checkpoints" / "password-match-undefended" / "model.safetensors"
    weights.rename(entry.parent.parent / "weights")
    weights.symlink_to("../../weights")
    assert any("model.safetensors is not a plain file" in each for each in messages(entry))
    shutil.rmtree(weights.parent)
    assert any("There is no checkpoint folder" in each for each in messages(entry))


def test_problems_of_all_files_are_said_together(entry: Path) -> None:
    manifest = entry / "submission.yaml"
    manifest.write_text(manifest.read_text().replace("125824", "125825"))
    result = file_of(entry, "results", GCG)
    data = json.loads(result.read_text())
    data["summary"]["broken"] += 1
    data["records"][0]["cost"] += 1
    result.write_text(json.dumps(data))
    found = "\n".join(messages(entry))
    for part in ("victim.parameters", "summary.broken", "records.0"):
        assert part in found


def test_evidence_counts_only_for_the_files_it_was_made_from(entry: Path) -> None:
    trace = file_of(entry, "traces", GCG).read_bytes()
    from holdfast.benchmark.results import sha256

    record = {
        "level": "replayed",
        "task": GCG.task,
        "attack": GCG.attack,
        "position": GCG.position,
        "verified_by": "Ada",
        "verified_at": "2026-01-31T00:00:00+00:00",
        "device": "cpu",
        "versions": {},
        "digests": {
            "result": sha256(file_of(entry, "results", GCG).read_bytes()),
            "trace": sha256(trace),
            "victim": "a" * 64,
            "data": "b" * 64,
        },
        "replay": {"examples": 10, "broken": 4, "near_ties": 0, "largest_difference": 0.0, "seconds": 1.0},
    }
    path = file_of(entry, "evidence", GCG)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record))
    assert load_entry(entry).level_of(GCG) == "replayed"
    assert load_entry(entry).level == "scored", "an entry is only as good as its weakest result"
    file_of(entry, "results", GCG).write_bytes(file_of(entry, "results", GCG).read_bytes() + b"\n")
    assert load_entry(entry).level_of(GCG) == "scored"


def test_the_registry_is_read_by_slug_and_half_made_entries_are_passed_over(entry: Path) -> None:
    make_entry(entry.parent.parent, "a-second")
    (entry.parent / ".third.partial").mkdir()
    assert [each.slug for each in load_registry(entry.parent.parent)] == ["a-second", "made-up"]
    (entry / "results" / "password-match" / "gcg-suffix.json").write_text("{}")
    with pytest.raises(RecordError, match=r"gcg-suffix\.json"):
        load_registry(entry.parent.parent)
