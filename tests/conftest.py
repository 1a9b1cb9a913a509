"""What all tests share: no network, no trace left in the user's caches, and the real data where there is a copy."""

import gc
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

_MIRROR = os.environ.pop("HOLDFAST_MIRROR", None)
_CACHE = tempfile.TemporaryDirectory(prefix="holdfast-tests-", ignore_cleanup_errors=True)
# Set here, before any test module imports the Hugging Face libraries, which read them once.
os.environ["HF_HOME"] = _CACHE.name
os.environ["HF_HUB_OFFLINE"] = "1"
# Likewise Ray, which would otherwise write a password to the user's home, and tell its makers that it was used.
os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
os.environ.pop("RAY_ADDRESS", None)
# A job in the background ignores Ctrl-C, and so would all that it starts; the tests of interruptions need it heard.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, so that none of them is still to be run when all others are done."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """What is loaded by now stays. statsmodels collects garbage at every correction of p-values, and would look at all
    of it each time.
    """
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    _CACHE.cleanup()


@pytest.fixture(scope="session")
def mirror() -> Path:
    """A local mirror of the Hub: HOLDFAST_MIRROR, or the first `../*/hub` beside the checkout that has data sets."""
    beside = sorted(Path(__file__).resolve().parents[1].parent.glob("*/hub"))
    for folder in [Path(_MIRROR)] if _MIRROR else beside:
        if (folder / "datasets").is_dir():
            return folder
    pytest.skip("needs the real data: set HOLDFAST_MIRROR to a local mirror of the Hub")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny checkpoint of an architecture, made once; tests that change it copy it first."""
    from victims import save_checkpoint

    made: dict[str, Path] = {}

    def folder(architecture: str = "gpt_neox") -> Path:
        if architecture not in made:
            made[architecture] = save_checkpoint(tmp_path_factory.mktemp("victims") / architecture, architecture)
        return made[architecture]

    return folder


@pytest.fixture(scope="session")
def sound_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with one entry that really was scored, made once; tests that change it use `scored`."""
    from scored_entries import score_entry

    registry = tmp_path_factory.mktemp("sound") / "submissions"
    score_entry(registry)
    return registry


@pytest.fixture
def scored(sound_registry: Path, tmp_path: Path) -> Path:
    """The folder of that entry, in a copy of its registry."""
    from scored_entries import SLUG

    return shutil.copytree(sound_registry, tmp_path / "submissions") / "entries" / SLUG
