"""What a victim's logits count as, where more than one model has a say in its answer."""

import torch
from torch import Tensor


def moved_apart(logits: Tensor, labels: Tensor, margins: Tensor) -> Tensor:
    """Logits moved apart about their mean until the label's leads by a margin.

    logits: (..., 2). labels: (...) int64. margins: (...). Returns (..., 2).
    """
    half = (2 * labels - 1) * margins / 2
    middle = logits.mean(dim=-1)
    return torch.stack([middle - half, middle + half], dim=-1)
