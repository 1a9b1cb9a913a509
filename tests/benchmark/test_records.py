"""The record file: what was finished is never lost, and what is not as written is never believed."""

import subprocess
import sys
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.benchmark import Record
from holdfast.benchmark.records import Effort, RecordFile, locked, write_atomically
from holdfast.tasks import RecordError, ResourceError

RUN = {"task": "t", "seed": 0, "budget": 1e9, "attack parameters": {"length": 10}}
FIRST = Record(
    example_id="e1",
    label=1,
    clean_correct=True,
    truncated=False,
    tokens=60,
    break_cost=1234,
    cost=1234,
    iterations=2,
    clean_logits=(-0.1, 0.1 + 0.2),
    attack_string="café \u202e\x00\n\U0001f9ff",
    attack_tokens=(1, 2, 3),
    attack_logits=(1e-30, -3.4e38),
)
SECOND = Record("e2", 0, False, True, 60, None, 0, 0, (0.0, 1.0))
ONE = Effort(1.0, 2.0, 3.0, 4.0, 5, 600)


def filled(path):
    records = RecordFile(path, RUN)
    records.add(FIRST, ONE)
    records.add(SECOND, ONE)
    return records


def test_what_is_added_is_there_when_the_file_is_opened_again(tmp_path):
    filled(tmp_path / "deep/er/r.jsonl")
    assert RecordFile(tmp_path / "deep/er/r.jsonl", RUN).records == {"e1": FIRST, "e2": SECOND}


def test_a_record_is_on_disk_before_the_next_one_starts(tmp_path):
    records = RecordFile(tmp_path / "r.jsonl", RUN)
    records.add(FIRST, ONE)
    assert RecordFile(tmp_path / "r.jsonl", RUN).records == {"e1": FIRST}


def test_the_effort_of_a_run_is_the_sum_over_its_stretches(tmp_path):
    path = tmp_path / "r.jsonl"
    first = RecordFile(path, RUN)
    first.add(FIRST, Effort(1, 1, 1, 10, 1, 600))
    first.add(SECOND, Effort(2, 2, 2, 20, 2, 700))  # since the file was opened
    again = RecordFile(path, RUN)
    again.add(replace(SECOND, example_id="e3"), Effort(5, 5, 5, 50, 5, 500))
    assert again.effort(Effort(6, 6, 6, 60, 6, 500)) == Effort(8, 8, 8, 80, 8, 700)
    assert RecordFile(path, RUN).effort(Effort(100, 0, 0, 0, 0, 0)) == Effort(107, 7, 7, 70, 7, 700)


@pytest.mark.parametrize("cut", [1, 2, 40, 200])
def test_half_a_last_line_is_dropped_silently(tmp_path, cut):
    path = tmp_path / "r.jsonl"
    filled(path)
    path.write_bytes(path.read_bytes()[:-cut])
    again = RecordFile(path, RUN)
    assert again.records == {"e1": FIRST}
    again.add(SECOND, ONE)
    assert RecordFile(path, RUN).records == {"e1": FIRST, "e2": SECOND}


def test_a_file_cut_anywhere_is_a_shorter_run_and_can_be_finished(tmp_path):
    path = tmp_path / "r.jsonl"
    filled(path)
    content = path.read_bytes()
    for length in range(0, len(content), 13):
        path.write_bytes(content[:length])
        records = RecordFile(path, RUN)
        for record in (FIRST, SECOND):
            if record.example_id not in records.records:
                records.add(record, ONE)
        assert RecordFile(path, RUN).records == {"e1": FIRST, "e2": SECOND}


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_is_found(tmp_path_factory, data):
    """Or changes nothing, as in a float's last digit. (The last line break apart: its loss looks like a kill.)"""
    path = tmp_path_factory.mktemp("flip") / "r.jsonl"
    filled(path)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 2))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    with suppress(RecordError):
        assert RecordFile(path, RUN).records == {"e1": FIRST, "e2": SECOND}


@pytest.mark.parametrize(
    "garbage", [b"garbage", b"", b"42", b"null", b"[1]", b"{}", b'"check"', b"\xff\xfe", b'{"check": 1}', b"[" * 500]
)
def test_a_line_of_garbage_is_reported_with_its_number(tmp_path, garbage):
    path = tmp_path / "r.jsonl"
    filled(path)
    header, first, second, _ = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([header, garbage, first, second, b""]))
    with pytest.raises(RecordError, match=r"r\.jsonl is corrupt at line 2 .*; delete the file to start"):
        RecordFile(path, RUN)
    assert path.read_bytes().split(b"\n")[2] == first, "what can be saved by hand is left alone"


def test_a_file_whose_first_line_is_lost_is_refused(tmp_path):
    path = tmp_path / "r.jsonl"
    filled(path)
    path.write_bytes(path.read_bytes().partition(b"\n")[2])
    with pytest.raises(RecordError):
        RecordFile(path, RUN)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 1}, "with seed 0 instead of 1"),
        ({"budget": 2e9}, r"with budget 1000000000\.0 instead of 2000000000\.0"),
        ({"attack parameters": {"length": 20}}, "with attack parameters "),
    ],
)
def test_the_records_of_another_run_are_refused_by_what_differs(tmp_path, change, said):
    filled(tmp_path / "r.jsonl")
    with pytest.raises(RecordError, match=rf"r\.jsonl belongs to another run, {said}"):
        RecordFile(tmp_path / "r.jsonl", RUN | change)


def test_a_line_that_does_not_fit_on_the_disk_is_taken_back_whole(tmp_path, largest_file):
    """At every size at which the disk can be full, the file stays readable and the run can go on."""
    complete = tmp_path / "complete.jsonl"
    filled(complete)
    size = complete.stat().st_size
    for limit in range(0, size, 37):
        path = tmp_path / f"{limit}.jsonl"
        with (
            largest_file(limit),
            pytest.raises(ResourceError, match=r"The disk is full at .*everything finished"),
        ):
            filled(path)
        records = RecordFile(path, RUN)
        for record in (FIRST, SECOND):
            if record.example_id not in records.records:
                records.add(record, ONE)
        assert RecordFile(path, RUN).records == {"e1": FIRST, "e2": SECOND}, limit


def test_an_atomic_write_that_does_not_fit_leaves_the_old_file(tmp_path, largest_file):
    path = tmp_path / "r.json"
    write_atomically(path, b"old")
    with largest_file(1000), pytest.raises(ResourceError, match="The disk is full"):
        write_atomically(path, b"new" * 1000)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path], "nothing half-written is left"
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for work in (
        lambda path: write_atomically(path, b""),
        lambda path: RecordFile(path, RUN),
        lambda path: locked(path).__enter__(),
    ):
        with pytest.raises(RecordError, match=r"file.* cannot be written \(.*\); choose another --out"):
            work(tmp_path / "file" / "x")


def test_a_folder_is_for_one_run_at_a_time(tmp_path):
    with locked(tmp_path), pytest.raises(RecordError, match="Another run is writing to"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_the_lock_of_a_killed_process_does_not_stay(tmp_path):
    code = (
        "import sys, pathlib, time; from filelock import FileLock; lock = FileLock(sys.argv[1]); "
        "lock.acquire(); print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / ".lock")], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(RecordError, match="Another run is writing to"), locked(tmp_path):
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with locked(tmp_path):
        pass


def test_removing_is_for_good(tmp_path):
    """And takes the folders along that it leaves empty, unless another run has its records there."""
    records, other = (filled(tmp_path / f"out/records/{task}/r.jsonl") for task in ("t", "u"))
    records.remove()
    records.remove()
    assert [path.name for path in (tmp_path / "out/records").iterdir()] == ["u"]
    other.remove()
    assert (tmp_path / "out").is_dir()
    assert not (tmp_path / "out/records").exists()
