"""A classifier reads one token of the last layer: that layer's feed-forward block need see no other."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from transformers import PreTrainedModel


def last_block(model: PreTrainedModel) -> nn.Module | None:
    """The feed-forward block of a decoder's last layer; None where it does not go by the usual name."""
    layers = model.config.get_text_config().num_hidden_layers
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == layers:
            block = getattr(module[-1], "mlp", None)
            return block if isinstance(block, nn.Module) else None
    return None


@contextmanager
def only_the_last_token(block: nn.Module | None) -> Iterator[None]:
    """Within this context a block sees the last token of each row only.

    What it returns, (rows, 1, width), is added to (rows, tokens, width): right at the last token, and nowhere else
    read.
    """
    if block is None:
        yield
        return
    hook = block.register_forward_pre_hook(lambda _, inputs: (inputs[0][:, -1:].contiguous(), *inputs[1:]))
    try:
        yield
    finally:
        hook.remove()
