"""Building: the same bytes every time, only what changed is written, and nothing that is not ours is touched."""

import json
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
from made_entries import make_entry

from holdfast.leaderboard.build import MARKER, Builder, build
from holdfast.tasks import UsageError


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("registry")
    for slug in ("one", "other", "third"):
        make_entry(folder, slug, name=f"Entry {slug}", examples=12)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_registry_gives_the_same_bytes_in_any_process(registry: Path, tmp_path: Path) -> None:
    build(registry, tmp_path / "here")
    subprocess.run(
        [Path(sysconfig.get_path("scripts")) / "holdfast", "site", "build", registry, "--out", tmp_path / "there"],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"},
    )
    here, there = content(tmp_path / "here"), content(tmp_path / "there")
    assert here.keys() == there.keys()
    assert [path for path in here if here[path] != there[path]] == []


def test_a_second_build_writes_nothing(registry: Path, tmp_path: Path) -> None:
    first = build(registry, tmp_path)
    assert first.written == first.files
    again = build(registry, tmp_path)
    assert (again.files, again.written, again.removed) == (first.files, 0, 0)


def test_a_change_of_one_entry_leaves_the_pages_of_the_others_alone(registry: Path, tmp_path: Path) -> None:
    copy = tmp_path / "registry"
    shutil.copytree(registry, copy)
    builder = Builder(copy, tmp_path / "site")
    builder.build()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "site/entries").iterdir() if path.is_file()}
    manifest = copy / "entries/other/submission.yaml"
    manifest.write_text(manifest.read_text().replace("Entry other", "Entry renamed"))
    built = builder.build()
    changed = {path.stem for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed == {"other"}
    assert "Entry renamed" in (tmp_path / "site/entries/other.html").read_text()
    assert "Entry renamed" in (tmp_path / "site/changes.html").read_text()
    assert built.written < built.files / 2
    build(copy, tmp_path / "fresh")
    assert content(tmp_path / "site") == content(tmp_path / "fresh")


def test_what_an_entry_leaves_behind_is_removed_with_it(registry: Path, tmp_path: Path) -> None:
    copy = tmp_path / "registry"
    shutil.copytree(registry, copy)
    site = tmp_path / "site"
    builder = Builder(copy, site)
    builder.build()
    shutil.rmtree(copy / "entries/third")
    built = builder.build()
    assert built.removed > 0
    assert [path for path in content(site) if "third" in path] == []


def test_a_folder_that_holds_something_else_is_left_alone(registry: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="holds something else than a site"):
        build(registry, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(UsageError, match="is a file"):
        build(registry, tmp_path / "thesis.tex")


def test_a_registry_without_entries_has_a_site_too(tmp_path: Path) -> None:
    (tmp_path / "registry/entries").mkdir(parents=True)
    built = build(tmp_path / "registry", tmp_path / "site")
    assert built.entries == 0
    assert "No entry has" in (tmp_path / "site/index.html").read_text()


def test_the_address_goes_where_whole_links_are_needed_and_nowhere_else(registry: Path, tmp_path: Path) -> None:
    build(registry, tmp_path / "site", url="https://example.org/board")
    assert "https://example.org/board/entries/one.html" in (tmp_path / "site/sitemap.xml").read_text()
    assert 'href="https://example.org/board/entries/one.html"' in (tmp_path / "site/feed.xml").read_text()
    build(registry, tmp_path / "plain")
    assert not (tmp_path / "plain/sitemap.xml").exists()
    with pytest.raises(UsageError, match="must begin with https"):
        build(registry, tmp_path / "site", url="ftp://example.org")


def test_programs_find_everything_from_the_index(registry: Path, tmp_path: Path) -> None:
    build(registry, tmp_path)
    index = json.loads((tmp_path / "api/index.json").read_text())
    entries = json.loads((tmp_path / index["entries"]).read_text())["entries"]
    assert [each["slug"] for each in entries] == ["one", "other", "third"]
    for each in entries:
        assert (tmp_path / each["page"]).is_file()
        assert json.loads((tmp_path / each["data"]).read_text())["manifest"]["slug"] == each["slug"]
    for path in (*index["leaderboards"].values(), *index["schemas"].values()):
        json.loads((tmp_path / path).read_text())
    assert (tmp_path / MARKER).is_file()
