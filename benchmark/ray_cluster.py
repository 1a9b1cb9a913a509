"""A Ray cluster: joining one, or starting one on this machine, and dividing it among workers.

Importing this raises a UsageError where Ray is not installed.
"""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..tasks import UsageError
from .checkpoint import first_line
from .forecast import workers_per_card

# Read when Ray is loaded. It sends its makers what it was used for, unless it is told not to.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# The workers of a cluster of our own are what the machine is busy for; Ray would have them yield to all else.
os.environ.setdefault("RAY_worker_niceness", "0")

try:
    import ray
except ModuleNotFoundError as error:
    raise UsageError("Ray is not installed here; install it with: pip install ray") from error

OBJECT_STORE = 200_000_000
"""Bytes of shared memory for a cluster on this machine: what workers are sent, and send, is small."""
_QUIETLY = {"log_to_driver": False, "logging_level": logging.ERROR}
ANSWERS_WITHIN = 10.0
"""Seconds in which the head of a cluster has to answer."""


@dataclass(frozen=True)
class Team:
    """Workers, and the cards and processors that each of them has for itself."""

    workers: int
    gpus: float
    cpus: int

    @property
    def reserved(self) -> int:
        """Processors without which none is started: beside a card one will do, whatever else the node is busy with."""
        return 1 if self.gpus else self.cpus


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Within this context this process belongs to a cluster, by default that of RAY_ADDRESS or one of its own.

    Raises: UsageError when there is no cluster at the address.
    """
    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS") or None
    if address is not None and "://" in address:
        raise UsageError(
            f"The address {address} is for Ray's client; run the command on a node of the cluster instead, as by "
            "`ray job submit`, with its address as host:port."
        )
    try:
        if address is None:
            ray.init(address="local", include_dashboard=False, object_store_memory=OBJECT_STORE, **_QUIETLY)
        else:
            _knock(address)
            ray.init(address=address, **_QUIETLY)
    except Exception as error:  # Ray raises a bare one when it does not get started
        if address is None:
            raise UsageError(
                f"Ray could not be started on this machine ({first_line(error)}); name a running cluster by --address, "
                "or leave out --executor ray."
            ) from error
        raise UsageError(
            f"There is no Ray cluster at {address} that can be joined ({first_line(error)}); start one with "
            "`ray start --head`, set RAY_AUTH_MODE=token if it asks for a token, or leave out --address to use this "
            "machine alone."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raises: OSError when nothing answers at host:port. Ray itself would go on trying for a minute."""
    host, _, port = address.rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), timeout=ANSWERS_WITHIN).close()


def team_of(workers: int | None, gpus: float | None) -> Team:
    """The workers that a cluster has room for; by default as many as it has cards, or nodes where it has none.

    gpus: cards for each worker, by default one where there are any; below 1, several workers share one. Processors are
    divided evenly. Raises: UsageError when there is no room.
    """
    nodes = _nodes()
    cards = sum(node.get("GPU", 0.0) for node in nodes)
    each = (1.0 if cards else 0.0) if gpus is None else gpus
    if each > 1 and not each.is_integer():
        raise UsageError(f"A worker gets whole cards, or a part of one; --gpus-per-worker cannot be {each:g}.")
    most = _room(nodes, each, 1)
    count = workers or (most if each else len(nodes))
    if not 0 < count <= most:
        raise UsageError(
            f"There is no room for {count or 'any'} workers with {each:g} GPUs and a processor each: the cluster has "
            f"{cards:g} GPUs and {sum(node.get('CPU', 0.0) for node in nodes):g} processors on {len(nodes)} nodes, "
            f"enough for {most}; ask for fewer --workers or less --gpus-per-worker, or add nodes."
        )
    cpus = 1
    while _room(nodes, each, cpus + 1) >= count:
        cpus += 1
    return Team(count, each, cpus)


def room_for(team: Team) -> int:
    """How many workers of a team the cluster has room for now."""
    return _room(_nodes(), team.gpus, team.reserved)


def _nodes() -> list[dict[str, float]]:
    """What each node that is there has."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _room(nodes: list[dict[str, float]], gpus: float, cpus: int) -> int:
    """Workers that nodes have room for, with so much each."""
    room = 0
    for node in nodes:
        by_processors = int(node.get("CPU", 0.0) // cpus)
        room += min(by_processors, _on_cards(int(node.get("GPU", 0.0)), gpus)) if gpus else by_processors
    return room


def _on_cards(cards: int, gpus: float) -> int:
    """Workers that the cards of a node have room for."""
    return cards * workers_per_card(gpus) if gpus < 1 else int(cards / gpus)
