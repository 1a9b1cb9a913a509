"""Workers of a Ray cluster give the score that one process gives, whatever happens to them on the way."""

import os
import shutil
import signal
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from victims import save_checkpoint

from holdfast.benchmark import GCG, RandomToken, Result, Settings, Victim, load_victim, score
from holdfast.benchmark.executor import InProcess, Job
from holdfast.benchmark.outcome import Progress
from holdfast.benchmark.scoring import score_by
from holdfast.benchmark.settings import Files
from holdfast.submissions.victim_file import load_model
from holdfast.tasks import CheckpointError, ResourceError, UsageError, get_task

pytest.importorskip("ray", reason="needs Ray: pip install ray")

import ray
from ray.cluster_utils import Cluster
from ray.exceptions import ActorDiedError
from ray.util import placement_group, remove_placement_group

from holdfast.benchmark.ray_cluster import OBJECT_STORE, Team, room_for, team_of
from holdfast.benchmark.ray_executor import RayExecutor, RayHost
from holdfast.benchmark.ray_worker import Source, Worker

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
def cluster() -> Iterator[Cluster]:
    """A cluster on this machine, with a node that has room for two workers."""
    with patience():
        node = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": OBJECT_STORE}
        cluster = Cluster(initialize_head=True, head_node_args=node)
        ray.init(cluster.address, log_to_driver=False)
    yield cluster
    with patience():
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture(scope="module")
def address(cluster: Cluster) -> str:
    return cluster.address


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


@dataclass
class Machine:
    """A node of the stand-in. room: for workers, beside those that it has."""

    room: int
    there: bool = True


class Call:
    """What a worker of the stand-in is asked; it answers as soon as the answer is looked at."""

    def __init__(self, actor: "Actor", answer: Callable[..., Any]) -> None:
        self.actor, self.answer = actor, answer

    def remote(self, *given: Any) -> "Call":
        return Call(self.actor, lambda: self.answer(*given))

    def options(self, **_: Any) -> "Stream":
        return Stream(self.actor, self.answer)

    def result(self) -> Any:
        answer = self.answer() if self.actor.there else None
        if not self.actor.there:  # or not any more
            raise ActorDiedError
        return answer


class Stream(Call):
    """The same for an answer that comes in parts."""

    def remote(self, *given: Any) -> "Stream":
        self.parts = self.answer(*given)
        return self

    def __next__(self) -> Call:
        part = next(self.parts, None) if self.actor.there else None
        if part is None and self.actor.there:
            raise StopIteration
        return Call(self.actor, lambda: part)


class Actor:
    """A worker of the stand-in. machine: where it is, once there is room for it."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.machine: Machine | None = None

    @property
    def there(self) -> bool:
        return self.machine is not None and self.machine.there

    def __getattr__(self, name: str) -> Call:
        return Call(self, getattr(self.worker, name))


class StandIn:
    """In place of Ray, with the real workers in this process, on machines that can be lost at any point."""

    def __init__(self, *machines: Machine) -> None:
        self._machines = machines
        self._turn = 0

    def options(self, **_: Any) -> "StandIn":
        return self

    def remote(self, *given: Any) -> Actor:
        return Actor(Worker(*given))

    def wait(self, awaited: Sequence[Call], timeout: float) -> tuple[list[Call], list[Call]]:
        """One after another has its turn."""
        for actor in (call.actor for call in awaited):
            free = next((machine for machine in self._machines if machine.there and machine.room), None)
            if actor.machine is None and free:
                actor.machine = free
                free.room -= 1
        placed = [call for call in awaited if call.actor.machine]
        assert placed, "nobody will ever answer"
        self._turn += 1
        return [placed[self._turn % len(placed)]], []


TOGETHER = 8
"""Workers on the machine that is lost."""


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine of a cluster that stands in for Ray's; the other one has room for a single worker."""
    machine = Machine(TOGETHER)
    cluster = StandIn(machine, Machine(1))
    monkeypatch.setattr(ray, "remote", lambda _: cluster)
    monkeypatch.setattr(ray, "wait", cluster.wait)
    monkeypatch.setattr(ray, "get", Call.result)
    monkeypatch.setattr(ray, "kill", lambda _: None)
    return machine


@pytest.fixture(scope="module")
def victim(checkpoint: Path) -> Victim:
    return load_victim(checkpoint)


def staffed(load: Callable[..., Victim]) -> RayHost:
    """A host with a worker for every place of the stand-in."""
    return RayHost(Source(load, "a victim", None, {}), Team(TOGETHER + 1, 0.0, 1))


def test_a_machine_lost_while_its_workers_load_the_victim_ends_no_run(large: Machine, victim: Victim) -> None:
    def load(*_: object, **__: object) -> Victim:
        large.there = False
        return victim

    assert staffed(load).executor(TASK).victim.digest == victim.digest


def test_a_machine_lost_between_two_tasks_ends_no_run(large: Machine, victim: Victim) -> None:
    host = staffed(lambda *_, **__: victim)
    both(host)
    large.there = False
    assert host.executor(TASK).victim.digest == victim.digest


def test_a_question_is_not_lost_with_all_idle_workers_of_a_machine(large: Machine, victim: Victim) -> None:
    executor = both(staffed(lambda *_, **__: victim))
    flags = executor.flags(EVALUATION.examples[:2], length=ATTACK.length, position="suffix")
    large.there = False
    assert executor.flags(EVALUATION.examples[:2], length=ATTACK.length, position="suffix") == flags


def test_examples_are_not_lost_with_all_idle_workers_of_a_machine(
    large: Machine, victim: Victim, reference: Result
) -> None:
    @dataclass(frozen=True)
    class Fatal(RandomToken):
        """For the machine with most of the workers."""

        def propose(self, search, count: int) -> np.ndarray:
            large.there = False
            return super().propose(search, count)

    attacked = {record.id for record in reference.records if record.iterations}
    examples = [example for example in EVALUATION.examples if example.id in attacked][:1]
    job = Job(TASK.name, RandomToken(), "suffix", SETTINGS.budget, 0)
    usual = list(InProcess(victim).attack(job, examples, None).records())
    executor = both(staffed(lambda *_, **__: victim))
    assert list(executor.attack(replace(job, attack=Fatal()), examples, None).records()) == usual
    assert not large.there


def test_a_victim_that_no_worker_can_load_is_given_up_in_one_sentence(large: Machine) -> None:
    loading = []

    def load(*_: object, **__: object) -> Victim:
        loading.append(1)
        large.room += 1
        raise ActorDiedError

    with pytest.raises(ResourceError, match=r"^27 workers in a row were lost while they loaded the victim \([^\n]*$"):
        staffed(load).executor(TASK)
    assert len(loading) == 27


@pytest.mark.parametrize(
    ("gpus", "workers"), [(0.1, 30), (1 / 3, 9), (0.4, 6), (0.5, 6), (0.6, 3), (0.9, 3), (1.0, 3), (2.0, 1)]
)
def test_workers_share_single_cards_and_have_theirs_on_one_node(monkeypatch, gpus: float, workers: int) -> None:
    nodes = [{"Alive": True, "Resources": {"CPU": 64.0, "GPU": cards}} for cards in (2.0, 1.0)]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    assert team_of(None, gpus).workers == room_for(Team(workers, gpus, 1)) == workers
    with pytest.raises(UsageError, match=f"enough for {workers};"):
        team_of(workers + 1, gpus)


def test_where_the_victim_is_loaded_once_workers_that_cannot_load_it_end_no_run(large: Machine, victim: Victim) -> None:
    loading = []

    def load(*_: object, **__: object) -> Victim:
        loading.append(1)
        if len(loading) == 2:
            return victim
        large.room += 1
        raise ActorDiedError

    host = staffed(load)
    host.executor(TASK)
    while len(loading) < 100:
        host.news()


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


def test_a_lost_node_changes_nothing(cluster: Cluster, checkpoint: Path, usual: Result, tmp_path: Path) -> None:
    gone = tmp_path / "gone"

    @dataclass(frozen=True)
    class Slow(RandomToken):
        """Until the node is gone."""

        def propose(self, search, count: int) -> np.ndarray:
            if not gone.exists():
                time.sleep(0.1)
            return super().propose(search, count)

    def lose(_: Progress) -> None:
        if not gone.exists():
            cluster.remove_node(node, allow_graceful=False)
            gone.touch()
            remove_placement_group(others)

    longest = max(usual.records, key=lambda record: record.iterations).id
    examples = [example for example in EVALUATION.examples if example.id == longest]
    job = Job(TASK.name, RandomToken(), "suffix", LONG.budget, 0)
    others = placement_group([{"CPU": 2}])
    assert others.wait(PATIENCE)
    node = cluster.add_node(num_cpus=3, object_store_memory=OBJECT_STORE)
    # All three are on the new node, and two of them have nothing to do.
    with RayHost(Source.of(load_model, str(checkpoint)), Team(3, 0.0, 1)) as host:
        found = list(both(host).attack(replace(job, attack=Slow()), examples, lose).records())
    assert gone.exists()
    assert found == list(InProcess(load_victim(checkpoint)).attack(job, examples, None).records())


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
