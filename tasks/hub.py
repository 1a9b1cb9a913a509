"""Tasks over a data set of the Hugging Face Hub, at a pinned revision, or over a local mirror of the Hub's layout.

Both ways end in a folder with the same files in it: the mirror's, or the Hub cache's snapshot of the revision (which
honours HF_HOME and HF_HUB_OFFLINE). Only the files that a task names are fetched, and rows are streamed from them.
"""

import errno
import glob
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .errors import DataError, ResourceError
from .selection import Item, evaluation_items, training_items

MIRROR_VARIABLE = "HOLDFAST_MIRROR"

Row = Mapping[str, object]


def text_in(row: Row, column: str) -> str:
    """The text in a column; an absent one is empty."""
    value = row[column]
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"column {column!r} holds {value!r} instead of text")
    return value


def label_in(row: Row, column: str) -> int:
    """The label in a column, 0 or 1."""
    value = row[column]
    if value not in (0, 1):
        raise ValueError(f"column {column!r} holds {value!r} instead of the label 0 or 1")
    return int(value == 1)


@dataclass(frozen=True)
class HubSource:
    """A data set repository and what to read from it."""

    repo: str
    revision: str
    """The full commit hash."""
    evaluation_files: tuple[str, ...]
    """Glob patterns inside the repository; each must match a file."""
    training_files: tuple[str, ...]
    """Likewise. Where they are the evaluation files again, training data is what the evaluation set leaves."""
    read: Callable[[Row], Item | None]
    """Turns a row into an item; None skips the row."""

    @property
    def remedy(self) -> str:
        return (
            "most likely the data are of another revision, or a file of the mirror is incomplete: load "
            f"{self.repo} from the Hub at revision {self.revision[:12]}, or copy that into the mirror again"
        )

    def evaluation(self, stream: str, size: int, mirror: Path | None) -> list[Item]:
        return evaluation_items(self._items(self.evaluation_files, mirror), size)

    def training(self, stream: str, size: int, count: int | None, seed: int, mirror: Path | None) -> list[Item]:
        items = list(self._items(self.evaluation_files, mirror))
        held_out = evaluation_items(items, size)
        if self.training_files != self.evaluation_files:
            items = list(self._items(self.training_files, mirror))
        return training_items(items, held_out, count, f"{stream}/training/{seed}")

    def _items(self, patterns: tuple[str, ...], mirror: Path | None) -> Iterator[Item]:
        for file in self._files(patterns, mirror):
            for number, row in enumerate(_rows(file), start=1):
                try:
                    item = self.read(row)
                except KeyError as error:
                    found = ", ".join(sorted(row))
                    raise DataError(
                        f"{file} has no column {error}, only {found}; get {self.repo} at revision {self.revision[:12]}."
                    ) from error
                except ValueError as error:
                    raise DataError(
                        f"Row {number} of {file} is not usable: {error}; "
                        f"get {self.repo} at revision {self.revision[:12]}."
                    ) from error
                if item is not None:
                    yield item

    def _files(self, patterns: tuple[str, ...], mirror: Path | None) -> list[Path]:
        """The files that the patterns match, in the mirror if there is one and in the Hub's cache otherwise."""
        if mirror is not None:
            return self._mirrored(patterns, mirror, f"the mirror {mirror}", "load without a mirror")
        if variable := os.environ.get(MIRROR_VARIABLE):
            named = f"{MIRROR_VARIABLE} points to {variable}, which"
            return self._mirrored(patterns, Path(variable), named, "unset the variable")
        folder = _snapshot(self.repo, self.revision, patterns)
        wanted = f"{self.repo} at revision {self.revision[:12]} on the Hub"
        return _matches(folder, patterns, lambda pattern: f"{wanted} has no {pattern}; {_cache_advice()}")

    def _mirrored(self, patterns: tuple[str, ...], mirror: Path, named: str, instead: str) -> list[Path]:
        if not mirror.is_dir():
            raise DataError(f"{named} is not a folder; correct the path, or {instead} to use the Hub.")
        place = f"datasets/{self.repo}"
        return _matches(
            mirror / place,
            patterns,
            lambda pattern: f"{named} has no {place}/{pattern}; copy the data set there, or {instead} to use the Hub",
        )


def _matches(folder: Path, patterns: tuple[str, ...], complaint: Callable[[str], str]) -> list[Path]:
    found: list[Path] = []
    for pattern in patterns:
        matching = sorted(path for path in folder.glob(pattern) if path.is_file())
        if not matching:
            raise DataError(complaint(pattern) + ".")
        found += matching
    return found


def _snapshot(repo: str, revision: str, patterns: tuple[str, ...]) -> Path:
    """The folder of the Hub's cache that holds the matching files of the revision, fetched if need be."""
    from huggingface_hub import constants, snapshot_download

    try:
        with _bars_only_on_a_terminal():
            return Path(snapshot_download(repo, repo_type="dataset", revision=revision, allow_patterns=list(patterns)))
    except Exception as error:  # the client raises its own, httpx's and the operating system's
        _raise_if_disk_full(error)
        reason = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else _brief(error)
        raise DataError(
            f"{repo} at revision {revision[:12]} is neither in the Hugging Face cache nor could it be fetched "
            f"({reason}); {_cache_advice()}."
        ) from error


def _cache_advice() -> str:
    return (
        "load it once online, without HF_HUB_OFFLINE, "
        f"or set {MIRROR_VARIABLE} to a folder that has the data set under datasets/"
    )


def _rows(file: Path) -> Iterator[Row]:
    """The rows of one parquet, JSON Lines or CSV file. Streaming leaves no converted copy in the cache."""
    from datasets import load_dataset
    from datasets.utils.logging import CRITICAL, get_verbosity, set_verbosity

    file = file.absolute()  # a relative one would be looked for below the folder; resolving would leave the Hub's names
    data_files = {"rows": [glob.escape(str(file))]}
    verbosity = get_verbosity()
    set_verbosity(CRITICAL)  # what it would log about a damaged file, the error below says
    try:
        yield from load_dataset(str(file.parent), data_files=data_files, split="rows", streaming=True)
    except Exception as error:  # every reader below `datasets` raises its own
        raise DataError(f"{file} cannot be read ({_brief(error)}); copy or download it again.") from error
    finally:
        set_verbosity(verbosity)


@contextmanager
def _bars_only_on_a_terminal() -> Iterator[None]:
    """Keep the Hub client's progress bars out of logs, and put its setting back."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if sys.stderr.isatty() or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _raise_if_disk_full(error: BaseException) -> None:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
            raise ResourceError("The disk is full; free some space, or set HF_HOME to another disk.") from error
        cause = cause.__cause__ or cause.__context__


def _brief(error: BaseException) -> str:
    """The innermost reason, on one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message[:160]}" if message else type(error).__name__
