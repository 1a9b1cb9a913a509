"""What a score ran on: versions, device, memory."""

import gc
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import torch


def software_versions() -> dict[str, str]:
    """Versions of everything that could change a score."""
    return {
        "holdfast": version("holdfast"),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers", "tokenizers", "numpy")},
    }


def device_name(device: torch.device) -> str:
    """The kind of machine: a card's name, or the processor's. The same kind gives the same floating-point results."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} ({_processor()})"


def peak_memory(device: torch.device) -> int:
    """Bytes: the most this process has had resident, or allocated on its cards."""
    if device.type == "cuda":
        return sum(torch.cuda.max_memory_allocated(card) for card in range(torch.cuda.device_count()))
    import resource

    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def release_memory() -> None:
    """Give back, on cards too, what belonged to models that nobody holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{next(models, '') or platform.processor() or 'unknown'}, {platform.machine()}"
