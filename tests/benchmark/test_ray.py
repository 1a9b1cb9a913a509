"""Workers of a Ray cluster give the score that one process gives, whatever happens to them on the way."""

import os
import shutil
import signal
import subprocess
import sysconfig
import time
from collections.abc import Iterator
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

ray = pytest.importorskip("ray", reason="needs Ray: pip install 'holdfast[ray]'")
# Ray gives up when its own processes are not there within seconds.
pytestmark = pytest.mark.cluster

TASK = get_task("password-match")
EVALUATION = TASK.evaluation()
SETTINGS = Settings("custom", 8, 1e9)
ATTACK = GCG(candidates=24, top_k=32)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster on this machine, with room for all workers of these tests at once."""
    ray.init(address="local", num_cpus=4, include_dashboard=False, object_store_memory=200_000_000, log_to_driver=False)
    yield ray.get_runtime_context().gcs_address
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
def host(address: str, checkpoint: Path) -> Iterator[object]:
    """Two workers, for all tests that do not need others."""
    from holdfast.benchmark.ray_cluster import Team
    from holdfast.benchmark.ray_executor import RayHost
    from holdfast.benchmark.ray_worker import Source

    with RayHost(Source.of(load_model, str(checkpoint)), Team(2, 0.0, 1)) as host:
        yield host


def by_workers(host, out: Path, attack=ATTACK, on_progress=None) -> Result:
    return score_by(host.executor(TASK), EVALUATION, attack, SETTINGS, out, on_progress=on_progress)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_ended_goes_on_with_workers_or_without(address, checkpoint, tmp_path, how) -> None:
    """The command line, before there are others who need the cluster's processors."""
    out = tmp_path / "out"
    settings = ("--examples", 8, "--budget", "1e9FLOP", "--attack", "random_token", "--task", TASK.name)
    cluster = ("--executor", "ray", "--workers", 1, "--address", address)
    command = [Path(sysconfig.get_path("scripts")) / "holdfast", "score", checkpoint, *settings, *cluster, "--out", out]
    records = Files.of(out, TASK.name, "random_token").records
    errors = tmp_path / "errors"
    with errors.open("w") as file:
        process = subprocess.Popen(list(map(str, command)), stderr=file, stdout=subprocess.DEVNULL)
        while process.poll() is None and not (records.exists() and records.read_bytes().count(b"\n") > 2):
            time.sleep(0.005)
        process.send_signal(how)
        process.wait(60)
    said = errors.read_text()
    assert records.exists(), f"it had finished before: {said}"
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert said.startswith("Interrupted. Every finished example is saved in")
        assert "Traceback" not in said
    usual = score(load_victim(checkpoint), EVALUATION, RandomToken(), SETTINGS, tmp_path / "usual")
    resumed = score(load_victim(checkpoint), EVALUATION, RandomToken(), SETTINGS, out)
    assert resumed.score() == usual.score()
    assert resumed.run.candidates > 0


def test_workers_find_what_one_process_finds(host, reference: Result, tmp_path: Path) -> None:
    seen = []
    result = by_workers(host, tmp_path, on_progress=seen.append)
    assert result.score() == reference.score()
    assert result.trace_sha256 == reference.trace_sha256
    assert (result.run.executor, result.run.workers) == ("ray", 2)
    assert result.run.device == reference.run.device
    assert result.run.canonical_flop == reference.run.canonical_flop
    assert (seen[-1].done, seen[-1].total, seen[-1].spent) == (8, 8, pytest.approx(1))
    assert [now.done for now in seen] == sorted(now.done for now in seen)


def test_a_killed_worker_changes_nothing(host, reference: Result, tmp_path: Path) -> None:
    victim, *_ = [ray.get(seat.worker.__ray_call__.remote(lambda _: os.getpid())) for seat in host.seats]
    killed = []

    def kill(now) -> None:
        if not killed and now.done >= 1:
            os.kill(victim, signal.SIGKILL)
            killed.append(now.done)

    result = by_workers(host, tmp_path, on_progress=kill)
    assert killed
    assert killed[0] < 8
    assert result.score() == reference.score()


def test_examples_that_end_every_worker_are_given_up_in_one_sentence(address: str, checkpoint, tmp_path: Path) -> None:
    from holdfast.benchmark.ray_cluster import Team
    from holdfast.benchmark.ray_executor import RayHost
    from holdfast.benchmark.ray_worker import Source

    @dataclass(frozen=True)
    class Deadly(RandomToken):
        def propose(self, search, count: int) -> np.ndarray:
            os._exit(1)

    with (
        RayHost(Source.of(load_model, str(checkpoint)), Team(1, 0.0, 1)) as host,
        pytest.raises(ResourceError, match=r"^3 workers in a row were lost with the same examples \([^\n]*$"),
    ):
        by_workers(host, tmp_path, Deadly())


def test_an_error_of_a_worker_is_its_own_sentence(address: str, checkpoint: Path, tmp_path: Path) -> None:
    from holdfast.benchmark.ray_cluster import Team
    from holdfast.benchmark.ray_executor import RayHost
    from holdfast.benchmark.ray_worker import Source

    folder = shutil.copytree(checkpoint, tmp_path / "here-only")
    source = Source.of(load_model, str(folder))
    shutil.rmtree(folder)
    with RayHost(source, Team(1, 0.0, 1)) as host, pytest.raises(CheckpointError, match="put it on a file system"):
        host.executor(TASK)


def test_a_team_must_fit_the_cluster(address: str) -> None:
    from holdfast.benchmark.ray_cluster import team_of

    processors = int(ray.cluster_resources()["CPU"])
    assert team_of(None, None).cpus == processors
    assert team_of(processors, None).cpus == 1
    with pytest.raises(UsageError, match=f"room for {processors + 1} workers"):
        team_of(processors + 1, None)
    with pytest.raises(UsageError, match="no room for any workers with 1 GPUs"):
        team_of(None, 1.0)
    with pytest.raises(UsageError, match="whole cards"):
        team_of(None, 1.5)
