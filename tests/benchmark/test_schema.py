"""The published JSON Schema is the one the code makes."""

from pathlib import Path

from holdfast.benchmark.results import SCHEMA_VERSION, result_schema

PUBLISHED = Path(__file__).resolve().parents[2] / "docs" / "schema"


def test_the_published_schema_is_that_of_the_code() -> None:
    path = PUBLISHED / f"result-{SCHEMA_VERSION}.json"
    assert path.read_text(encoding="utf-8") == result_schema(), "run `make schema` and commit the file"


def test_every_schema_version_stays_published() -> None:
    names = sorted(path.name for path in PUBLISHED.glob("result-*.json"))
    assert names == [f"result-{version}.json" for version in range(1, SCHEMA_VERSION + 1)]
