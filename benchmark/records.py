"""The record file of a run: one line per finished example, written before the next one counts.

A killed run leaves at worst half a line at the end, which is dropped when the run is taken up again; anything else
that does not read back as written is reported, not repaired. The first line says which run it is, so that no two runs
mix. Each line carries a checksum of its content.
"""

import errno
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..tasks import RecordError, ResourceError
from .outcome import Record


@dataclass(frozen=True)
class Effort:
    """What it took to run so far: reported beside a score, never part of it.

    seconds: by section, as the stopwatch has them. executed: FLOP. candidates: strings scored. peak_memory: bytes.
    """

    model_seconds: float = 0.0
    tokenization_seconds: float = 0.0
    other_seconds: float = 0.0
    executed: float = 0.0
    candidates: int = 0
    peak_memory: int = 0

    def __add__(self, other: "Effort") -> "Effort":
        """The effort of two stretches of one run."""
        sums = {field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)}
        return Effort(**{**sums, "peak_memory": max(self.peak_memory, other.peak_memory)})

    def since(self, earlier: "Effort") -> "Effort":
        """What was spent after an earlier moment of the same stretch. The peak is that of the whole stretch."""
        spent = {field.name: getattr(self, field.name) - getattr(earlier, field.name) for field in fields(self)}
        return Effort(**{**spent, "peak_memory": self.peak_memory})


class RecordFile:
    """Finished examples of one run, and the effort they took.

    Opening reads what is there. Raises: RecordError when the file belongs to another run or is corrupt.
    """

    def __init__(self, path: Path, run: dict[str, Any]) -> None:
        self.path = path
        self.records: dict[str, Record] = {}
        self._efforts: dict[int, Effort] = {}
        self._run = run
        with _disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                self._read()
            if not path.exists() or path.stat().st_size == 0:
                self._append({"run": run})
        self._stretch = len(self._efforts)

    def add(self, record: Record, effort: Effort) -> None:
        """Append a finished example, with the effort spent since this file was opened, and wait until it is on disk."""
        self._append({"record": asdict(record), "stretch": self._stretch, "effort": asdict(effort)})
        self.records[record.example_id] = record

    def effort(self, since_opened: Effort) -> Effort:
        """The effort of the whole run: of the stretches before each interruption, and of this one."""
        return sum(self._efforts.values(), since_opened)

    def remove(self) -> None:
        """Delete the file, once its content has become a result."""
        self.path.unlink(missing_ok=True)
        for folder in self.path.parents[:2]:
            # Other runs may have theirs there.
            with suppress(OSError):
                folder.rmdir()

    def _append(self, content: dict[str, Any]) -> None:
        line = json.dumps({"check": _checksum(content), **content}, ensure_ascii=True).encode("ascii") + b"\n"
        # Unbuffered: closing a buffered file would write the rest of a line that did not fit.
        with _disk_errors(self.path), self.path.open("ab", buffering=0) as file:
            start = file.tell()
            try:
                while line:
                    line = line[file.write(line) :]
                os.fsync(file.fileno())
            except OSError:
                # A full disk may have taken half the line: take it back, so that the file stays readable.
                os.truncate(self.path, start)
                raise

    def _read(self) -> None:
        content = self.path.read_bytes()
        whole, _, half = content.rpartition(b"\n")
        if half:
            os.truncate(self.path, len(content) - len(half))
        for number, line in enumerate(whole.split(b"\n") if whole else [], start=1):
            parsed = self._parse(line, number)
            if number == 1:
                self._same_run(parsed)
                continue
            record = parsed["record"]
            record["clean_logits"] = tuple(record["clean_logits"])
            for name in ("attack_tokens", "attack_logits"):
                record[name] = None if record[name] is None else tuple(record[name])
            self.records[record["example_id"]] = Record(**record)
            self._efforts[parsed["stretch"]] = Effort(**parsed["effort"])

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            parsed = json.loads(line)
            check = parsed.pop("check")
            if check != _checksum(parsed):
                raise ValueError("its checksum is wrong")
            return parsed
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise RecordError(
                f"{self.path} is corrupt at line {number} ({error}); delete the file to start this score again, or "
                f"restore a backup."
            ) from error

    def _same_run(self, header: dict[str, Any]) -> None:
        recorded = header.get("run", {})
        for name, value in self._run.items():
            if recorded.get(name) != value:
                raise RecordError(
                    f"{self.path} belongs to another run, with {name} {_brief(recorded.get(name))} instead of "
                    f"{_brief(value)}; choose another --out, repeat the settings of that run to finish it, or delete "
                    "the file."
                )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a results folder for one process. Raises: RecordError when another one has it."""
    with _disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    with _disk_errors(folder):
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise RecordError(
                f"Another run is writing to {folder}; wait until it has finished, or choose another --out."
            ) from error
    try:
        yield
    finally:
        lock.release()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that is, at every moment, either as it was or complete. Raises: ResourceError when the disk is
    full.
    """
    temporary = path.with_name(f".{path.name}.partial")
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ResourceError(
                f"The disk is full at {path}; everything finished before is saved there: free some space and run the "
                "same command again to go on."
            ) from error
        raise RecordError(f"{path} cannot be written ({error.strerror or error}); choose another --out.") from error


def _checksum(content: dict[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(content, sort_keys=True).encode()):08x}"


def _brief(value: object) -> str:
    text = str(value)
    return text if len(text) <= 16 else f"{text[:12]}…"
