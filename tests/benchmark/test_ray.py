"""Workers of a Ray cluster give the score that one process gives, whatever happens to them on the way."""

import os
import shutil
import signal
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from victims import save_checkpoint

from holdfast.benchmark import GCG, RandomToken, Result, Settings, load_victim, score
from holdfast.benchmark.scoring import score_by
from holdfast.benchmark.settings import Files
from holdfast.submissions.victim_file import load_model
from holdfast.tasks import CheckpointError, ResourceError, UsageError, get_task

pytest.importorskip("ray", reason="needs Ray: pip install ray")

import ray

from holdfast.benchmark.ray_cluster import OBJECT_STORE, Team, team_of
from holdfast.benchmark.ray_executor import RayExecutor, RayHost
from holdfast.benchmark.ray_worker import Source

# Ray gives up when its own processes are not there within seconds.
pytestmark = [pytest.mark.alone, pytest.mark.slow]

TASK = get_task("password-match")
EVALUATION = TASK.evaluation()
SETTINGS = Settings("custom", 8, 1e9)
LONG = Settings("custom", 8, 2e10)
"""Random tokens take a second for it, after the first examples."""
ATTACK = GCG(candidates=24, top_k=32)
PATIENCE = 240
"""Seconds after which a test that waits for the cluster fails; with two busy cores, one takes up to half a minute."""


@contextmanager
def patience() -> Iterator[None]:
    """In place of waiting for ever."""

    def give_up(*_: object) -> None:
        raise TimeoutError(f"Waited for {PATIENCE} seconds for the cluster or its workers, and gave up.")

    usual = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, usual)


@pytest.fixture(autouse=True)
def patient() -> Iterator[None]:
    with patience():
        yield


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster on this machine, with room for two workers."""
    with patience():
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE,
            log_to_driver=False,
        )
    yield ray.get_runtime_context().gcs_address
    with patience():
        ray.shutdown()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("victim") / "victim", "llama", scale=6.0)


@pytest.fixture(scope="module")
def reference(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """What one process finds."""
    result = score(load_victim(checkpoint), EVALUATION, ATTACK, SETTINGS, tmp_path_factory.mktemp("reference"))
    assert any(record.iterations > 1 for record in result.records)
    return result


@pytest.fixture(scope="module")
def host(address: str, checkpoint: Path) -> Iterator[RayHost]:
    """Two workers, who leave no room for others: the tests that share them are the last."""
    with RayHost(Source.of(load_model, str(checkpoint)), Team(2, 0.0, 1)) as host:
        yield host


def both(host: RayHost) -> RayExecutor:
    """The executor once all workers are there: otherwise the first one may have done everything before the next."""
    executor = host.executor(TASK)
    while not all(seat.idle for seat in host.seats):
        host.news()
    return executor


@pytest.fixture(scope="module")
def usual(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """What random tokens find in one process that nobody ends."""
    return score(load_victim(checkpoint), EVALUATION, RandomToken(), LONG, tmp_path_factory.mktemp("usual"))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_ended_goes_on_with_workers_or_without(address, checkpoint, usual, tmp_path, how) -> None:
    out = tmp_path / "out"
    settings = ("--examples", LONG.examples, "--budget", f"{LONG.budget}FLOP", "--attack", "random_token")
    cluster = ("--executor", "ray", "--workers", 1, "--address", address)
    holdfast = Path(sysconfig.get_path("scripts")) / "holdfast"
    command = [holdfast, "score", checkpoint, "--task", TASK.name, *settings, *cluster, "--out", out]
    records = Files.of(out, TASK.name, "random_token").records
    errors = tmp_path / "errors"
    with errors.open("w") as file:
        process = subprocess.Popen(list(map(str, command)), stderr=file, stdout=subprocess.DEVNULL)
        try:
            while process.poll() is None and not (records.exists() and records.read_bytes().count(b"\n") > 2):
                time.sleep(0.005)
            process.send_signal(how)
            process.wait()
        finally:
            process.kill()
    said = errors.read_text()
    assert records.exists(), f"it had finished before: {said}"
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert said.startswith("Interrupted. Every finished example is saved in")
        assert "Traceback" not in said
    resumed = score(load_victim(checkpoint), EVALUATION, RandomToken(), LONG, out)
    assert resumed.score() == usual.score()
    assert resumed.run.candidates > 0


def test_examples_that_end_every_worker_are_given_up_in_one_sentence(address: str, checkpoint, tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Deadly(RandomToken):
        def propose(self, search, count: int) -> np.ndarray:
            os._exit(1)

    with (
        RayHost(Source.of(load_model, str(checkpoint)), Team(1, 0.0, 1)) as host,
        pytest.raises(ResourceError, match=r"^3 workers in a row were lost with the same examples \([^\n]*$"),
    ):
        score_by(host.executor(TASK), EVALUATION, Deadly(), SETTINGS, tmp_path)


def test_an_error_of_a_worker_is_its_own_sentence(address: str, checkpoint: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "here-only")
    source = Source.of(load_model, str(folder))
    shutil.rmtree(folder)
    with RayHost(source, Team(1, 0.0, 1)) as host, pytest.raises(CheckpointError, match="put it on a file system"):
        host.executor(TASK)


def test_a_team_must_fit_the_cluster(address: str) -> None:
    processors = int(ray.cluster_resources()["CPU"])
    assert team_of(None, None).cpus == processors
    assert team_of(processors, None).cpus == 1
    with pytest.raises(UsageError, match=f"room for {processors + 1} workers"):
        team_of(processors + 1, None)
    with pytest.raises(UsageError, match="no room for any workers with 1 GPUs"):
        team_of(None, 1.0)
    with pytest.raises(UsageError, match="whole cards"):
        team_of(None, 1.5)


def test_workers_find_what_one_process_finds(host: RayHost, reference: Result, tmp_path: Path) -> None:
    seen = []
    result = score_by(both(host), EVALUATION, ATTACK, SETTINGS, tmp_path, on_progress=seen.append)
    assert result.score() == reference.score()
    assert result.trace_sha256 == reference.trace_sha256
    assert (result.run.executor, result.run.workers) == ("ray", 2)
    assert result.run.device == reference.run.device
    assert result.run.canonical_flop == reference.run.canonical_flop
    assert (seen[-1].done, seen[-1].total, seen[-1].spent) == (8, 8, pytest.approx(1))
    assert [now.done for now in seen] == sorted(now.done for now in seen)


def test_a_killed_worker_changes_nothing(host: RayHost, reference: Result, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    proposals: list[int] = []

    @dataclass(frozen=True)
    class Fatal(GCG):
        """Kills the first worker that proposes for the third time, in the midst of its examples."""

        def propose(self, search, count: int) -> np.ndarray:
            proposals.append(count)
            if len(proposals) == 3:
                with suppress(FileExistsError):
                    killed.touch(exist_ok=False)
                    os.kill(os.getpid(), signal.SIGKILL)
            return super().propose(search, count)

    attack = Fatal(ATTACK.length, ATTACK.candidates, ATTACK.top_k)
    result = score_by(both(host), EVALUATION, attack, SETTINGS, tmp_path / "out")
    assert killed.exists()
    assert result.score() == reference.score()
    assert result.trace_sha256 == reference.trace_sha256
