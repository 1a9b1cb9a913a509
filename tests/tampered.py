"""Tampering with an entry as someone would who knows the formats: what follows from a change is mended with it."""

import io
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from holdfast.benchmark import get_attack
from holdfast.benchmark.budget import backward_cost, forward_cost
from holdfast.benchmark.results import TRACE_SCHEMA, sha256
from holdfast.submissions.entry import Key, file_of

GCG, RANDOM = (Key("password-match", attack, "suffix") for attack in ("gcg", "random_token"))


class Forged:
    """A result and its trace as plain data. `result["records"][i]` belongs to `rows[i]`."""

    def __init__(self, entry: Path, key: Key) -> None:
        self.entry, self.key = entry, key
        self.result: dict[str, Any] = json.loads(file_of(entry, "results", key).read_bytes())
        self.rows: list[dict[str, Any]] = pq.read_table(file_of(entry, "traces", key)).to_pylist()

    @property
    def records(self) -> list[dict[str, Any]]:
        return self.result["records"]

    def broken(self) -> int:
        """The first example that broke."""
        return next(i for i, record in enumerate(self.records) if record["break_cost"] is not None)

    def held(self) -> int:
        """The first example that held."""
        return next(i for i, record in enumerate(self.records) if record["break_cost"] is None)

    def charge(self, i: int, iterations: int) -> None:
        """Set an example's cost to that of whole iterations."""
        record, attack = self.records[i], get_attack(self.key.attack)
        sizes = self.result["victim"]["parameters"], record["tokens"]
        gradient = forward_cost(*sizes) + backward_cost(*sizes) if attack.uses_gradient else 0
        record["iterations"] = iterations
        record["cost"] = iterations * (gradient + attack.candidates * forward_cost(*sizes))
        if record["break_cost"] is not None:
            record["break_cost"] = record["cost"]

    def spend_all(self, i: int) -> None:
        """Set an example's cost to that of every iteration that fits the budget."""
        self.charge(i, 1)
        self.charge(i, int(self.result["budget"] // self.records[i]["cost"]))

    def write(self, *, mended: bool = True) -> None:
        """Write both files. mended: with summary, sums and digest that fit what was changed."""
        if mended:
            correct = sum(record["clean_correct"] for record in self.records)
            broken = sum(record["break_cost"] is not None for record in self.records)
            self.result["summary"] = {
                "examples": len(self.records),
                "clean_correct": correct,
                "clean_accuracy": correct / len(self.records),
                "broken": broken,
                "attack_success_rate": broken / correct if correct else None,
                "truncated": sum(record["truncated"] for record in self.records),
            }
            self.result["run"]["canonical_flop"] = float(sum(record["cost"] for record in self.records))
            self.write_trace(parquet(self.rows))
        self.write_result()

    def write_trace(self, content: bytes) -> None:
        """Write a trace, and its digest into the result."""
        file_of(self.entry, "traces", self.key).write_bytes(content)
        self.result["trace_sha256"] = sha256(content)
        self.write_result()

    def write_result(self) -> None:
        file_of(self.entry, "results", self.key).write_text(json.dumps(self.result))


def parquet(rows: list[dict[str, Any]], **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=TRACE_SCHEMA), sink, **options)
    return sink.getvalue()


def lying(rows: Iterable[dict[str, Any]]) -> bytes:
    """A trace with a row group for each row, which says of all its large columns that they unpack to 100 bytes."""
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, TRACE_SCHEMA, compression="zstd", use_dictionary=False, write_statistics=False) as file:
        for row in rows:
            file.write_table(pa.Table.from_pylist([row], schema=TRACE_SCHEMA))
    content = sink.getvalue()
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    pages, about = content[:start], content[start:]
    metadata = pq.read_metadata(io.BytesIO(content))
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for i in range(group.num_columns):
            if (size := group.column(i).total_uncompressed_size) > 10_000:
                said = _thrift_integer(size)
                about = about.replace(said, _thrift_integer(100, len(said)))
    return pages + about


def _thrift_integer(value: int, length: int = 0) -> bytes:
    """As parquet's metadata has it: zigzag, seven bits a byte, the lowest first; bit 8 set on all but the last byte."""
    value <<= 1
    digits = []
    while value or len(digits) < length:
        digits.append(value & 127)
        value >>= 7
    return bytes([digit | 128 for digit in digits[:-1]] + digits[-1:])


@contextmanager
def forged(entry: Path, key: Key = GCG, *, mended: bool = True) -> Iterator[Forged]:
    """Change a result and its trace, and write them."""
    forgery = Forged(entry, key)
    yield forgery
    forgery.write(mended=mended)


def in_manifest(old: str, new: str) -> Callable[[Path], None]:
    """Replace something in the manifest."""

    def change(entry: Path) -> None:
        text = (entry / "submission.yaml").read_text()
        assert old in text
        (entry / "submission.yaml").write_text(text.replace(old, new, 1))

    return change


def in_result(*path: str | int, value: Any) -> Callable[[Path], None]:
    """Set one field of a result, and nothing else."""

    def change(entry: Path) -> None:
        with forged(entry, mended=False) as forgery:
            part: Any = forgery.result
            for name in path[:-1]:
                part = part[name]
            part[path[-1]] = value

    return change
