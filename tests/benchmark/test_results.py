"""Results and traces are files that others read: strict, versioned, and the same bytes for the same content."""

import io
import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from holdfast.benchmark import GCG, Record, Result, Settings, load_victim, read_result, score
from holdfast.benchmark.results import result_json, sha256, summarize, trace_bytes
from holdfast.tasks import RecordError, get_task

BROKEN = Record(
    example_id="e1",
    label=1,
    clean_correct=True,
    truncated=False,
    tokens=60,
    break_cost=1234,
    cost=1234,
    iterations=2,
    clean_logits=(-0.5, 0.5),
    attack_string=" a\u202e\x1b[31m\nb",
    attack_tokens=(1, 2, 3),
    attack_logits=(0.25, -0.25),
)
HELD = replace(BROKEN, example_id="e2", label=0, break_cost=None, clean_logits=(1.0, 0.0), attack_logits=(0.5, 0.0))
WRONG = Record("e3", 0, False, True, 60, None, 0, 0, (0.0, 1.0))


@pytest.fixture(scope="module")
def scored(tmp_path_factory, checkpoint):
    """A results folder and its result, made by a real run."""
    out = tmp_path_factory.mktemp("scored")
    settings = Settings("custom", examples=3, budget=3e9)
    victim = load_victim(checkpoint("llama"), device="cpu")
    return out, score(victim, get_task("password-match").evaluation(), GCG(), settings, out)


def test_a_result_is_read_back_as_it_was_written(scored):
    out, result = scored
    path = out / "results/password-match/gcg-suffix.json"
    assert read_result(path) == result
    assert path.read_bytes() == result_json(result)


def test_the_result_names_its_trace_by_content(scored):
    out, result = scored
    trace = out / "traces/password-match/gcg-suffix.parquet"
    assert sha256(trace.read_bytes()) == result.trace_sha256
    assert [row["example_id"] for row in pq.read_table(trace).to_pylist()] == [record.id for record in result.records]


def test_no_record_file_is_left_beside_a_result(scored):
    assert not [path for path in (scored[0] / "records").rglob("*") if path.is_file()]


def test_how_it_was_computed_is_no_part_of_the_score(scored):
    _, result = scored
    later = result.model_copy(update={"run": result.run.model_copy(update={"threads": 99, "batch_size": 7})})
    assert later.score() == result.score()
    assert "threads" not in result.score()


def test_a_result_of_an_unknown_schema_version_is_refused(scored, tmp_path):
    content = json.loads(result_json(scored[1])) | {"schema_version": 2}
    path = tmp_path / "future.json"
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match=r"future\.json is not a valid result: schema_version: Input should be 1"):
        read_result(path)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"extra": 1}, "extra"),
        ({"budget": 0}, "budget"),
        ({"budget": float("inf")}, "budget"),
        ({"trace_sha256": "abc"}, "trace_sha256"),
        ({"seed": -1}, "seed"),
        ({"records": [{}]}, "records.0.id"),
    ],
)
def test_a_wrong_field_is_named(scored, tmp_path, change, field):
    path = tmp_path / "r.json"
    path.write_text(json.dumps(json.loads(result_json(scored[1])) | change))
    with pytest.raises(RecordError, match=rf"r\.json is not a valid result: {field}: "):
        read_result(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_what_is_no_result_is_refused_in_one_sentence(tmp_path, content):
    path = tmp_path / "r.json"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=r"r\.json is not a valid result: the whole file: ") as caught:
        read_result(path)
    assert "\n" not in str(caught.value)


def test_a_missing_result_and_a_folder_are_refused(tmp_path):
    with pytest.raises(RecordError, match="There is no result at"):
        read_result(tmp_path / "none.json")
    with pytest.raises(RecordError, match="cannot be read as a result"):
        read_result(tmp_path)


def test_a_result_cannot_be_changed_in_place(scored):
    with pytest.raises(ValidationError, match="frozen"):
        scored[1].seed = 3


def test_a_trace_is_the_same_bytes_every_time_and_keeps_every_character():
    content = trace_bytes([BROKEN, HELD, WRONG])
    assert content == trace_bytes([BROKEN, HELD, WRONG])
    assert content != trace_bytes([HELD, BROKEN, WRONG])
    broken, held, wrong = pq.read_table(io.BytesIO(content)).to_pylist()
    assert broken == {
        "example_id": "e1",
        "label": 1,
        "clean_logits": [-0.5, 0.5],
        "broken": True,
        "attack_string": " a\u202e\x1b[31m\nb",
        "attack_tokens": [1, 2, 3],
        "attack_logits": [0.25, -0.25],
    }
    assert (held["broken"], wrong["broken"], wrong["attack_string"]) == (False, False, None)


def test_the_summary_counts():
    summary = summarize([BROKEN, HELD, WRONG])
    assert (summary.examples, summary.clean_correct, summary.broken, summary.truncated) == (3, 2, 1, 1)
    assert (summary.clean_accuracy, summary.attack_success_rate) == (2 / 3, 1 / 2)
    assert summarize([WRONG]).attack_success_rate is None


def test_the_schema_describes_what_is_written(scored):
    assert set(json.loads(result_json(scored[1]))) == set(Result.model_json_schema()["properties"])
