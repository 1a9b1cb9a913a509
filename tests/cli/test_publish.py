"""`holdfast publish`, against a local stand-in for the Hub."""

import json
import os
import signal
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_stand_in import Fault, StandIn, interrupted, reachable, running
from hub_stand_in.server import environment
from made_entries import make_entry, on_hub

from holdfast.benchmark import OFFICIAL_ATTACKS

Run = Callable[..., Any]


@pytest.fixture
def hub() -> Iterator[StandIn]:
    with running() as hub:
        hub.add("model", "acme/classifier", {"README.md": b"---\nlicense: mit\n---\n# A classifier\n"})
        hub.add("dataset", "acme/robustness")
        yield hub


@pytest.fixture
def online(hub: StandIn) -> Iterator[StandIn]:
    with reachable(hub):
        yield hub


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    make_entry(tmp_path, checkpoints={"password-match": on_hub()})
    return tmp_path


@pytest.fixture
def arguments(registry: Path) -> tuple[str, ...]:
    return ("publish", "made-up", "--registry", str(registry), "--dataset", "acme/robustness")


def snapshot(hub: StandIn) -> list[dict[str, bytes]]:
    return [hub.files("dataset", "acme/robustness"), hub.files("model", "acme/classifier")]


def test_it_publishes_and_says_where_and_then_has_nothing_to_do(
    online: StandIn, holdfast: Run, arguments: tuple[str, ...]
) -> None:
    first = holdfast(*arguments)
    assert (first.code, first.err) == (0, "")
    assert [line.split(" at ")[0] for line in first.out.splitlines()] == [
        f"data set acme/robustness: {1 + 2 * len(OFFICIAL_ATTACKS)} files published",
        "model acme/classifier: 2 files published",
    ]
    again = holdfast(*arguments)
    assert (again.code, again.err) == (0, "")
    assert again.out.count("nothing to do") == 2


def test_a_folder_is_as_good_as_a_slug(online: StandIn, holdfast: Run, registry: Path) -> None:
    done = holdfast("publish", registry / "entries" / "made-up", "--dataset", "acme/robustness", "--no-model", "--json")
    assert done.code == 0
    (repo,) = json.loads(done.out)["repos"]
    assert (repo["repo"], repo["type"], repo["pull_request"]) == ("acme/robustness", "dataset", False)
    assert len(repo["commit"]) == 40
    assert {file["state"] for file in repo["files"]} == {"new"}


def test_a_dry_run_shows_every_file_and_changes_nothing(
    online: StandIn, holdfast: Run, arguments: tuple[str, ...], registry: Path
) -> None:
    before = snapshot(online)
    shown = holdfast(*arguments, "--dry-run")
    assert (shown.code, shown.err) == (0, "")
    entry = registry / "entries" / "made-up"
    for path in entry.rglob("*.*"):
        assert f"entries/made-up/{path.relative_to(entry).as_posix()}\n" in shown.out
    assert "  changed" in shown.out
    assert "task_id: password-match/gcg-suffix/1ms" in shown.out
    assert "<!-- holdfast:begin -->" in shown.out
    assert "Nothing was published." in shown.out
    assert snapshot(online) == before
    assert not online.writes
    data = json.loads(holdfast(*arguments, "--dry-run", "--json").out)
    assert data["dry_run"]
    assert {file["state"] for file in data["repos"][1]["files"]} == {"new", "changed"}
    assert "Section of README.md" in data["repos"][1]["texts"]


def test_a_dry_run_needs_no_token(hub: StandIn, holdfast: Run, arguments: tuple[str, ...]) -> None:
    with reachable(hub, token=None):
        shown = holdfast(*arguments, "--dry-run", "--create-pr")
        assert (shown.code, shown.err) == (0, "")
        hub.repos["model", "acme/classifier"].private = True
        assert "cannot be seen without a token" in holdfast(*arguments, "--dry-run").out
        assert "There is no Hugging Face token here" in (refused := holdfast(*arguments)).sentence
        assert refused.code == 9


def test_a_dry_run_offline_says_that_the_hub_is_not_known(holdfast: Run, arguments: tuple[str, ...]) -> None:
    shown = holdfast(*arguments, "--dry-run")
    assert shown.code == 0
    assert "HF_HUB_OFFLINE" in shown.out
    assert "  unknown" in shown.out
    assert "task_id: password-match/gcg-suffix/1ms" in shown.out
    assert "is not known" in shown.err


def test_offline_nothing_is_published(
    monkeypatch: pytest.MonkeyPatch, holdfast: Run, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    refused = holdfast(*arguments)
    assert refused.code == 9
    assert "HF_HUB_OFFLINE is set" in refused.sentence


def test_a_hub_that_is_down_is_one_sentence(holdfast: Run, arguments: tuple[str, ...]) -> None:
    with running() as hub:
        pass
    with reachable(hub):
        refused = holdfast(*arguments)
    assert refused.code == 9
    assert "could not be reached" in refused.sentence


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--dataset", "robustness"], "does not name a repo with its owner"),
        (["--model", "a/b", "--no-model"], "give one of the two"),
        ([], "must name a data-set repo"),
        (["--no-model"], "no repo to publish made-up in"),
    ],
)
def test_arguments_that_cannot_be_are_refused(holdfast: Run, registry: Path, options: list[str], said: str) -> None:
    refused = holdfast("publish", "made-up", "--registry", registry, *options)
    assert refused.code == 2
    assert said in refused.sentence


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("made-upp", "There is no entry made-upp (did you mean 'made-up'?); give its folder, or its slug"),
        ("../made-up", "There is no entry ../made-up; give its folder, or its slug"),
    ],
)
def test_an_unknown_entry_is_refused(holdfast: Run, registry: Path, entry: str, said: str) -> None:
    refused = holdfast("publish", entry, "--registry", registry)
    assert refused.code == 2
    assert said in refused.sentence


def test_an_error_half_way_says_what_was_published(online: StandIn, holdfast: Run, arguments: tuple[str, ...]) -> None:
    online.faults.append(Fault("models.*/commit/", lambda: 403))
    refused = holdfast(*arguments)
    assert refused.code == 9
    assert "may not write to the model acme/classifier" in refused.err
    assert "Published so far: data set acme/robustness." in refused.err


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("datasets.*/revision/", "Interrupted. Nothing was published before that."),
        (
            "datasets.*/commit/",
            "while committing to the data set acme/robustness: the commit arrived whole or not at all.",
        ),
        ("models.*/commit/", "Published so far: data set acme/robustness."),
    ],
)
def test_ctrl_c_says_whether_anything_was_published(
    online: StandIn, holdfast: Run, arguments: tuple[str, ...], pattern: str, said: str
) -> None:
    online.faults.append(Fault(pattern, interrupted))
    stopped = holdfast(*arguments)
    assert stopped.code == 130
    assert said in stopped.err
    assert "Give the same command again" in stopped.err


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["/storage/", "datasets.*/commit/", "models.*/commit/"])
def test_killed_at_any_moment_every_repo_is_as_before_or_as_wanted(
    hub: StandIn, holdfast: Run, arguments: tuple[str, ...], registry: Path, pattern: str
) -> None:
    process: subprocess.Popen[bytes] | None = None

    def kill() -> str:
        assert process is not None
        process.kill()
        process.wait()
        return "drop"

    hub.faults.append(Fault(pattern, kill))
    before = snapshot(hub)
    local = {path: path.read_bytes() for path in registry.rglob("*") if path.is_file()}
    command = [str(Path(sysconfig.get_path("scripts")) / "holdfast"), *arguments]
    process = subprocess.Popen(
        command, env=os.environ | environment(hub), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    assert process.wait(timeout=120) == -signal.SIGKILL
    killed = snapshot(hub)
    with reachable(hub):
        assert holdfast(*arguments).code == 0
        wanted = snapshot(hub)
        assert holdfast(*arguments).out.count("nothing to do") == 2
    assert killed == (before if "models" not in pattern else [wanted[0], before[1]])
    assert all(after != unpublished for after, unpublished in zip(wanted, before, strict=True))
    assert {path: path.read_bytes() for path in registry.rglob("*") if path.is_file()} == local
