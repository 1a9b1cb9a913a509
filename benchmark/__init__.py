"""holdfast.benchmark: victims, attacks, cost and the engine that puts them together.

What the command line does is a few calls: load a victim, load or make examples, attack them under a budget. What needs
no model (results, budgets, curves, the names of attacks) loads without PyTorch; the rest loads when it is asked for,
and results too, as attacking needs neither pydantic nor pyarrow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .attacks import OFFICIAL_ATTACKS, Attack, attack_names, get_attack
from .attacks.gcg import GCG
from .attacks.random_token import RandomToken
from .budget import GPU_SECOND, PROFILES, TIERS, Profile, format_gpu_time, get_profile, parse_budget
from .outcome import Progress, Record
from .settings import Settings

if TYPE_CHECKING:
    from .engine import Engine, attack_examples
    from .health import health_flags
    from .results import Result, read_result
    from .scoring import score
    from .victim import Victim, load_victim

_LATER = {
    "Engine": "engine",
    "attack_examples": "engine",
    "health_flags": "health",
    "Result": "results",
    "read_result": "results",
    "score": "scoring",
    "Victim": "victim",
    "load_victim": "victim",
}

__all__ = [
    "GCG",
    "GPU_SECOND",
    "OFFICIAL_ATTACKS",
    "PROFILES",
    "TIERS",
    "Attack",
    "Engine",
    "Profile",
    "Progress",
    "RandomToken",
    "Record",
    "Result",
    "Settings",
    "Victim",
    "attack_examples",
    "attack_names",
    "format_gpu_time",
    "get_attack",
    "get_profile",
    "health_flags",
    "load_victim",
    "parse_budget",
    "read_result",
    "score",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LATER[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
