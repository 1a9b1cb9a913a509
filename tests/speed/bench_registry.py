"""How fast the registry is read, the site is built, and an entry is verified."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from holdfast.leaderboard.build import build
from holdfast.submissions.entry import find_registry, load_registry
from holdfast.submissions.verify import Request, verify_entries

REGISTRY = find_registry(None)


def test_the_registry_is_loaded(benchmark: Any) -> None:
    entries = benchmark.pedantic(load_registry, (REGISTRY,), rounds=5, iterations=1)
    benchmark.extra_info["conditions"] = {"entries": len(entries)}


def test_the_site_is_built(benchmark: Any, tmp_path: Path) -> None:
    def fresh() -> tuple[tuple[Path], dict[str, Any]]:
        shutil.rmtree(tmp_path / "site", ignore_errors=True)
        return (tmp_path / "site",), {}

    benchmark.pedantic(lambda out: build(REGISTRY, out), setup=fresh, rounds=5, iterations=1)
    files = sum(path.is_file() for path in (tmp_path / "site").rglob("*"))
    benchmark.extra_info["conditions"] = {"files": files}


def test_an_entry_is_verified(benchmark: Any, mirror: Path, tmp_path: Path) -> None:
    """200 examples by two attacks, on tasks whose examples are generated."""
    request = Request(by="make bench", again=True, out=tmp_path, mirror=mirror)
    folder = REGISTRY / "entries" / "holdfast-wide-undefended"

    def verify() -> None:
        [report] = verify_entries([folder], request, registry=REGISTRY)
        assert report.verified
        benchmark.extra_info["conditions"] = {"results": len(report.results)}

    benchmark.pedantic(verify, rounds=5, iterations=1)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
