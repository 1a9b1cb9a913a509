"""Numbers on their way to a device, without waiting for what it is at work on."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def sent(numbers: np.ndarray | Sequence[int] | Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Whole numbers as an int64 tensor on a device; a card gets them when it comes to them."""
    made = torch.as_tensor(numbers, dtype=torch.int64)
    return made.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else made.to(device)
