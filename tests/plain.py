"""Plain implementations to compare the engine with: nothing cached, nothing shared, one text at a time."""

import torch
from torch import nn


def plain_gradient(victim, slot, string):
    """Autograd through one-hot vectors and the whole model: (length, attack vocabulary)."""
    ids = torch.tensor([*slot.prefix, *string.tolist(), *slot.suffix])
    table = victim.model.get_input_embeddings().weight
    one_hot = nn.functional.one_hot(ids, len(table)).float().requires_grad_(True)
    logits = victim.model(inputs_embeds=(one_hot @ table)[None], attention_mask=torch.ones(1, len(ids))).logits
    nn.functional.cross_entropy(logits, torch.tensor([1 - slot.example.label])).backward()
    start = len(slot.prefix)
    return one_hot.grad[start : start + slot.length][:, victim.vocabulary.ids]
