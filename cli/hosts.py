"""Where the victims of a run are loaded, as the command line says it: in this process, or by workers of a cluster."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..tasks import UsageError
from .terminal import err

if TYPE_CHECKING:
    from ..benchmark.executor import Host, InThisProcess
    from ..benchmark.forecast import Fleet

EXECUTORS = ("process", "ray")


@dataclass(frozen=True)
class Where:
    """The options about it; see docs/cli.md. Raises: UsageError for those that do not go together."""

    executor: str = "process"
    workers: int | None = None
    gpus_per_worker: float | None = None
    address: str | None = None
    device: str | None = None
    dtype: str | None = None
    batch_size: int | None = None
    mirror: Path | None = None

    def __post_init__(self) -> None:
        if self.executor not in EXECUTORS:
            raise UsageError(f"There is no executor '{self.executor}'; choose one of {', '.join(EXECUTORS)}.")
        given = {"--workers": self.workers, "--gpus-per-worker": self.gpus_per_worker, "--address": self.address}
        for option, value in given.items():
            if value is not None and not self.on_ray:
                raise UsageError(f"{option} is for a run on a cluster; add --executor ray, or leave it out.")

    @property
    def on_ray(self) -> bool:
        return self.executor == "ray"

    def fleet(self, *, card: bool) -> "Fleet":
        """The workers of a plan, which asks no cluster. card: whether this machine, which they are like, has one.

        Raises: UsageError for what cannot be planned here.
        """
        from ..benchmark.forecast import Fleet

        if self.gpus_per_worker and not card:
            raise UsageError(
                "--gpus-per-worker is for cards, and --dry-run measures on this machine, which has none; leave it out."
            )
        return Fleet.of(self.workers or 1, (self.gpus_per_worker or 1.0) if card else 1.0)

    def cluster(self) -> AbstractContextManager[None]:
        """A context in which this process belongs to the cluster, if there is one to be used."""
        if not self.on_ray:
            return nullcontext()
        from ..benchmark.ray_cluster import cluster

        return cluster(self.address)

    @contextmanager
    def host(self, model: str, proposal: str | None) -> "Iterator[Host]":
        """Has a victim loaded: a checkpoint or a victim file, with the language model that guides an attack."""
        if not self.on_ray:
            yield self.loaded_here(model, proposal)
            return
        from ..submissions.victim_file import load_model

        with self.cluster():
            from ..benchmark.ray_cluster import team_of
            from ..benchmark.ray_executor import RayHost
            from ..benchmark.ray_worker import Source

            team = team_of(self.workers, self.gpus_per_worker)
            source = Source.of(
                load_model,
                model,
                proposal=proposal,
                device=self._device(team.gpus),
                dtype=self.dtype,
                mirror=self.mirror,
                batch_size=self.batch_size,
            )
            with RayHost(source, team) as host:
                yield host

    def loaded_here(self, model: str, proposal: str | None) -> "InThisProcess":
        from ..benchmark import load_victim
        from ..benchmark.executor import InThisProcess
        from ..submissions.victim_file import load_model

        device = self._device(self.gpus_per_worker)
        with err.status("loading the victim") if err.is_terminal else nullcontext():
            victim = load_model(model, device=device, dtype=self.dtype)
            guide = None if proposal is None else load_victim(proposal, device=device, dtype="float32")
        return InThisProcess(victim, guide, self.mirror, self.batch_size)

    def _device(self, gpus: float | None) -> str | None:
        """The device that was asked for, or all cards of a worker that has several."""
        return "auto" if self.device is None and (gpus or 0) > 1 else self.device
