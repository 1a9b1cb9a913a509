"""The package: the wheel holds everything that is in the rooms, and the rooms import only upwards."""

import ast
import configparser
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BUNDLED = ("password-match-undefended", "password-match-adversarial")
"""Checkpoints that come with an installation; the registry is for a checkout."""
ROOMS = ("tasks", "benchmark", "submissions", "leaderboard", "cli")
"""In the order in which they stand on each other: each may import from itself and from those before it."""


def files(room: str) -> list[PurePosixPath]:
    """Every file of a room except caches and the registry, relative to the root."""
    found = (path.relative_to(ROOT) for path in (ROOT / room).rglob("*") if path.is_file())
    return [PurePosixPath(path.as_posix()) for path in found if not _left_out(path.parts)]


def _left_out(parts: tuple[str, ...]) -> bool:
    registry = parts[0] == "submissions" and (parts[1] == "entries" or parts[1].endswith(".yaml"))
    other_checkpoint = parts[:2] == ("submissions", "checkpoints") and len(parts) > 3 and parts[2] not in BUNDLED
    return "__pycache__" in parts or registry or other_checkpoint


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a copy, so that the checkout stays as it is. Caches are copied too, to be left out."""
    copy = tmp_path_factory.mktemp("source")
    for room in ROOMS:
        shutil.copytree(ROOT / room, copy / room)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    built = tmp_path_factory.mktemp("wheel")
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", build, str(built)], cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (path,) = built.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_every_file_of_the_rooms_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == {f"holdfast/{path}" for room in ROOMS for path in files(room)}


def test_the_wheel_carries_the_licence_and_the_notice_of_the_word_list(wheel: zipfile.ZipFile) -> None:
    names = {PurePosixPath(name).name for name in wheel.namelist() if ".dist-info/licenses/" in name}
    assert names == {"LICENSE", "words.NOTICE"}


def test_every_entry_point_leads_to_a_module_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    (listing,) = (name for name in wheel.namelist() if name.endswith(".dist-info/entry_points.txt"))
    declared = configparser.ConfigParser(delimiters=("=",))
    declared.read_string(wheel.read(listing).decode("utf-8"))
    targets = [declared[group][name] for group in declared.sections() for name in declared[group]]
    assert len(targets) > 1
    for target in targets:
        module = target.split(":")[0].replace(".", "/")
        assert {f"{module}.py", f"{module}/__init__.py"} & set(wheel.namelist()), target


def imported(path: PurePosixPath) -> set[str]:
    """The modules of ours that a file imports, as dotted names below `holdfast`; absolute imports with `holdfast.`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "holdfast"}
        elif isinstance(node, ast.ImportFrom) and node.level:
            package = path.parts[: len(path.parts) - node.level]
            base = ".".join([*package, *(node.module or "").split(".")]).strip(".")
            found |= {base} if base else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "holdfast":
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_itself_and_from_those_before_it(room: str) -> None:
    allowed = ROOMS[: ROOMS.index(room) + 1]
    wrong = {
        f"{path} imports {module}"
        for path in files(room)
        if path.suffix == ".py"
        for module in imported(path)
        if module.split(".")[0] not in allowed
    }
    assert not wrong


def test_imports_across_rooms_are_found() -> None:
    """The check above sees what it should see."""
    assert "tasks" in imported(PurePosixPath("benchmark/engine.py"))
    assert "tasks" in imported(PurePosixPath("benchmark/attacks/__init__.py"))
    assert "benchmark" in imported(PurePosixPath("cli/demo.py"))


def test_the_citation_is_of_this_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(rf"^version: {re.escape(PROJECT['version'])}$", citation, re.MULTILINE)
