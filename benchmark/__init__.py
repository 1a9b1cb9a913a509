"""holdfast.benchmark: victims, attacks, cost and the engine that puts them together.

What the command line does is a few calls: load a victim, load or make examples, attack them under a budget.
"""

from .attacks import OFFICIAL_ATTACKS, Attack, attack_names, get_attack
from .attacks.gcg import GCG
from .attacks.random_token import RandomToken
from .budget import GPU_SECOND, PROFILES, TIERS, Profile, format_gpu_time, get_profile, parse_budget
from .engine import Engine, attack_examples
from .outcome import Progress, Record
from .results import Result, read_result
from .score import Settings, score
from .victim import Victim, load_victim

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
    "load_victim",
    "parse_budget",
    "read_result",
    "score",
]
