"""The result and the trace of a score: what is published, and how it is written and read.

A result (JSON) holds everything a claim of robustness rests on: what was asked, of whom, by which attack, and per
example what it cost to break. The part `run` says how it was computed and is no part of the claim: two results that
differ only there are the same score. A trace (parquet) holds the strings that did it. The JSON Schema of a result is
in docs/schema/.
"""

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..tasks import RecordError
from .outcome import Record
from .position import Position

SCHEMA_VERSION = 1

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Flop = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskPart(_Strict):
    """What was asked."""

    name: str
    version: int
    digest: Annotated[Sha256, Field(description="SHA-256 of the evaluation set that was scored")]
    official: Annotated[bool, Field(description="Whether that digest is the one the task pins")]


class AttackPart(_Strict):
    """By which attack."""

    name: str
    position: Annotated[Position, Field(description="Where in a text the string goes")]
    parameters: Annotated[dict[str, int | float | str | bool], Field(description="The attack's own parameters")]


class VictimPart(_Strict):
    """Of whom."""

    reference: Annotated[str, Field(description="Hub id or folder")]
    revision: Annotated[str | None, Field(description="Commit, for a checkpoint from the Hub")]
    digest: Annotated[Sha256, Field(description="SHA-256 over the weight, configuration and tokenizer files")]
    architecture: str
    kind: Annotated[
        Literal["classifier", "language-model", "ensemble", "filter"],
        Field(
            description="How it answers: by a classification head, by the logits of the task's two label words, by a "
            "random choice among several checkpoints, or behind a filter that refuses unlikely texts"
        ),
    ] = "classifier"
    filter_threshold: Annotated[
        float | None,
        Field(
            ge=0, allow_inf_nan=False, description="Mean loss per token above which the filter refuses a text, in nats"
        ),
    ] = None
    parameters: Annotated[int, Field(gt=0, description="N: all parameters, embeddings included")]
    context: Annotated[int, Field(gt=0, description="Longest input, in tokens")]
    dtype: Annotated[str, Field(description="Precision of the attack's passes; success is always judged in float32")]


class Summary(_Strict):
    """Counts over the examples, and the two rates they give."""

    examples: Annotated[int, Field(gt=0)]
    clean_correct: Annotated[int, Field(ge=0)]
    clean_accuracy: Share
    broken: Annotated[int, Field(ge=0)]
    attack_success_rate: Annotated[Share | None, Field(description="Broken among clean-correct examples")]
    truncated: Annotated[int, Field(ge=0, description="Examples shortened to fit the victim's context")]


class ExamplePart(_Strict):
    """One example: costs in canonical FLOP."""

    id: str
    label: Literal[0, 1]
    clean_correct: bool
    truncated: bool
    tokens: Annotated[int, Field(gt=0, description="T: tokens of the text with an attack string in it")]
    break_cost: Annotated[
        int | None, Field(gt=0, description="Cost at the end of the iteration that broke it; null if it held")
    ]
    cost: Annotated[int, Field(ge=0, description="Cost spent on it in all")]
    iterations: Annotated[int, Field(ge=0)]


class Seconds(_Strict):
    """Wall time by where it went, added up over workers."""

    total: Annotated[float, Field(ge=0)]
    model: Annotated[float, Field(ge=0)]
    tokenization: Annotated[float, Field(ge=0)]
    rest: Annotated[float, Field(ge=0)]


class RunPart(_Strict):
    """How it was computed: no part of the score."""

    versions: dict[str, str]
    executor: Annotated[
        Literal["process", "ray"], Field(description="Whether one process did it all, or workers of a Ray cluster")
    ] = "process"
    workers: Annotated[int, Field(gt=0, description="Processes that attacked examples, each with the model")] = 1
    device: Annotated[str, Field(description="Where each of them ran; kinds that differ are joined by ' and '")]
    threads: Annotated[int, Field(gt=0)]
    finished: Annotated[str, Field(description="UTC, ISO 8601")]
    seconds: Seconds
    canonical_flop: Annotated[Flop, Field(description="Charged to the attacker, over all examples")]
    executed_flop: Annotated[Flop, Field(description="Really computed by the engine's passes")]
    candidates: Annotated[int, Field(ge=0, description="Strings scored, those ahead of a success included")]
    passes: Annotated[str, Field(description="How the victim was run: shared prefix or full text")]
    batch_size: Annotated[int, Field(gt=0, description="Sequences per forward pass at the end")]
    peak_memory: Annotated[int, Field(ge=0, description="Bytes: resident on CPU, allocated on CUDA")]


class Result(_Strict):
    """A score of one victim on one task by one attack."""

    schema_version: Literal[1] = SCHEMA_VERSION
    task: TaskPart
    attack: AttackPart
    victim: VictimPart
    seed: Annotated[int, Field(ge=0)]
    profile: Annotated[str, Field(description="quick, lite, standard, full, or custom")]
    budget: Annotated[Flop, Field(gt=0, description="FLOP per example")]
    summary: Summary
    records: Annotated[list[ExamplePart], Field(description="In official order")]
    flags: Annotated[list[str], Field(description="What a reader should know before trusting the number")]
    trace_sha256: Sha256
    run: RunPart

    def score(self) -> str:
        """The result without how it was computed, as JSON: equal for equal scores."""
        return self.model_dump_json(exclude={"run"}, indent=2)


def summarize(records: Sequence[Record] | Sequence[ExamplePart]) -> Summary:
    """Counts over finished records, of a run or of a result."""
    correct = sum(record.clean_correct for record in records)
    broken = sum(record.break_cost is not None for record in records)
    return Summary(
        examples=len(records),
        clean_correct=correct,
        clean_accuracy=correct / len(records),
        broken=broken,
        attack_success_rate=broken / correct if correct else None,
        truncated=sum(record.truncated for record in records),
    )


def example_parts(records: Sequence[Record]) -> list[ExamplePart]:
    return [
        ExamplePart(
            id=record.example_id,
            label=1 if record.label else 0,
            clean_correct=record.clean_correct,
            truncated=record.truncated,
            tokens=record.tokens,
            break_cost=record.break_cost,
            cost=record.cost,
            iterations=record.iterations,
        )
        for record in records
    ]


TRACE_SCHEMA = pa.schema(
    [
        pa.field("example_id", pa.string(), nullable=False),
        pa.field("label", pa.int8(), nullable=False),
        pa.field("clean_logits", pa.list_(pa.float32()), nullable=False),
        pa.field("broken", pa.bool_(), nullable=False),
        pa.field("attack_string", pa.string()),
        pa.field("attack_tokens", pa.list_(pa.int32())),
        pa.field("attack_logits", pa.list_(pa.float32())),
    ],
    metadata={"holdfast.schema_version": str(SCHEMA_VERSION)},
)
"""One row per example in official order: the string that broke it, or else the best one (null where none was scored).
"""


def trace_bytes(records: Sequence[Record]) -> bytes:
    """The trace of finished records as a parquet file."""
    rows = [
        {
            "example_id": record.example_id,
            "label": record.label,
            "clean_logits": record.clean_logits,
            "broken": record.break_cost is not None,
            "attack_string": record.attack_string,
            "attack_tokens": record.attack_tokens,
            "attack_logits": record.attack_logits,
        }
        for record in records
    ]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=TRACE_SCHEMA), sink, compression="zstd")
    return sink.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def read_result(path: Path) -> Result:
    """Load a result. Raises: RecordError when it is missing or not a result of a known version."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise RecordError(f"There is no result at {path}; give the JSON file that `holdfast score` wrote.") from error
    except (IsADirectoryError, PermissionError) as error:
        raise RecordError(f"{path} cannot be read as a result ({type(error).__name__}).") from error
    return parse_result(content, path)


def parse_result(content: bytes, path: Path) -> Result:
    """The result in a file's content. Raises: RecordError, which names the field."""
    return validated(Result, content, path, "a valid result", "score again to replace it")


Model = TypeVar("Model", bound=BaseModel)


def validated(kind: type[Model], content: bytes, path: Path, called: str, remedy: str) -> Model:
    """The JSON record in a file's content. Raises: RecordError, which names the first field that is wrong."""
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise RecordError(f"{path} is not {called}: {field}: {first['msg']}; {remedy}.") from error


def result_json(result: Result) -> bytes:
    return (result.model_dump_json(indent=2) + "\n").encode()


def result_schema() -> str:
    """The JSON Schema of a result, as published under docs/schema/."""
    schema = Result.model_json_schema()
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2) + "\n"
