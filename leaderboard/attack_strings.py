"""What the attacks of an entry came up with: the string of every attacked example, its tokens, and what it did.

They come from the entry's traces. A trace that cannot be read, or is not the one that its result names, gives none.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer

from ..benchmark import Result
from ..benchmark.results import sha256
from ..submissions.declared import RegistryCheckpoint
from ..submissions.entry import Entry, Key, checkpoint_in_registry, file_of
from ..submissions.limits import TRACE_BYTES, read_limited
from ..submissions.traces import TraceRow, read_trace
from ..tasks import RecordError

_TOKENIZER_BYTES = 20_000_000


@dataclass(frozen=True)
class Found:
    """The string that broke one example, or else the best one. label, before, after: 0 or 1: the true one, and the
    victim's answers without and with the string. cost: FLOP of the break, None if the example held. tokens: as texts,
    None where the tokenizer is not at hand; count: how many.
    """

    example: str
    label: int
    before: int
    after: int
    cost: int | None
    string: str
    tokens: tuple[str, ...] | None
    count: int


def strings_of(entry: Entry, key: Key) -> list[Found] | None:
    """All attacked examples of one result: broken ones first, the cheapest first, then those that held, in official
    order. None: there is no trace to read.
    """
    result = entry.results[key]
    rows = _trace(entry, key, result)
    if rows is None:
        return None
    costs = {record.id: record.break_cost for record in result.records}
    tokenizer = _tokenizer(entry, key.task)
    found = [
        Found(
            example=row.example_id,
            label=row.label,
            before=_answer(row.clean_logits),
            after=_answer(row.attack_logits),
            cost=costs[row.example_id],
            string=row.attack_string,
            tokens=_texts(tokenizer, row.attack_tokens, row.attack_string),
            count=len(row.attack_tokens),
        )
        for row in rows
        if row.example_id in costs and row.attack_string is not None and row.attack_tokens and row.attack_logits
    ]
    return sorted(found, key=lambda each: math.inf if each.cost is None else each.cost)


def _trace(entry: Entry, key: Key, result: Result) -> list[TraceRow] | None:
    file = file_of(entry.folder, "traces", key)
    try:
        return _read(file, file.stat().st_mtime_ns, result.trace_sha256)
    except (RecordError, OSError):
        return None


@lru_cache(maxsize=32)
def _read(file: Path, changed: int, digest: str) -> list[TraceRow] | None:
    """Read once for the pages of an entry, which stand one after the other. changed: when the file was changed last."""
    content = read_limited(file, TRACE_BYTES)
    return read_trace(content) if sha256(content) == digest else None


def _answer(logits: Sequence[float]) -> int:
    return int(logits[1] > logits[0])


def _tokenizer(entry: Entry, task: str) -> "_Decoder | None":
    """The victim's tokenizer, that of its first checkpoint, where that lies in the registry."""
    declared = entry.manifest.tasks.get(task)
    first = next(iter(declared.checkpoints.values()), None) if declared else None
    if not isinstance(first, RegistryCheckpoint):
        return None
    try:
        file = checkpoint_in_registry(entry.folder.parent.parent, first) / "tokenizer.json"
        return _loaded(file, file.stat().st_mtime_ns) if file.stat().st_size <= _TOKENIZER_BYTES else None
    except (RecordError, OSError):
        return None


@lru_cache(maxsize=32)
def _loaded(file: Path, changed: int) -> "_Decoder | None":
    """changed: when the file was changed last, so that a new one is read again."""
    try:
        return _Decoder(Tokenizer.from_file(str(file)))
    except Exception:  # tokenizers raises nothing narrower for a file that is not one of its own
        return None


def _texts(tokenizer: "_Decoder | None", tokens: Sequence[int], string: str) -> tuple[str, ...] | None:
    """Each token as text; None where these do not make up the string, as for a tokenizer that is not the victim's."""
    if tokenizer is None or max(tokens) >= 2**31:
        return None
    texts = tuple(tokenizer.text(token) for token in tokens)
    return texts if "".join(texts) == string else None


class _Decoder:
    """A tokenizer that remembers its tokens' texts."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._texts: dict[int, str] = {}

    def text(self, token: int) -> str:
        if token not in self._texts:
            self._texts[token] = self._tokenizer.decode([token], skip_special_tokens=False)
        return self._texts[token]
