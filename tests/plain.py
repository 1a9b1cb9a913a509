"""Plain implementations to compare the engine with: nothing cached, nothing shared, one text at a time."""

import numpy as np
import torch
from torch import nn

from holdfast.benchmark.engine import _stream
from holdfast.benchmark.slot import prepare_slot, survivors


def plain_gradient(victim, slot, string):
    """Autograd through one-hot vectors and the whole model: (length, attack vocabulary)."""
    ids = torch.tensor([*slot.prefix, *string.tolist(), *slot.suffix])
    table = victim.model.get_input_embeddings().weight
    one_hot = nn.functional.one_hot(ids, len(table)).float().requires_grad_(True)
    logits = victim.model(inputs_embeds=(one_hot @ table)[None], attention_mask=torch.ones(1, len(ids))).logits
    nn.functional.cross_entropy(logits, torch.tensor([1 - slot.example.label])).backward()
    start = len(slot.prefix)
    return one_hot.grad[start : start + slot.length][:, victim.vocabulary.ids]


def plain_beast(victim, example, attack, iterations, next_tokens, proposal_parameters=0):
    """The best string of a beam search, and its cost: every string grown, judged and charged on its own.

    next_tokens: called with the slot, a string, a count and a generator, gives so many tokens for behind that string.
    proposal_parameters: of the model that is asked for them, if one is.
    """
    slot = prepare_slot(example, victim.vocabulary, attack.length, victim.context)
    rng = np.random.default_rng(_stream(0, "examples", attack.name, "suffix", example.id))
    around = len(slot.prefix) + len(slot.suffix)
    beam, best, best_margin, cost = [], None, np.inf, 0

    def anew():
        return not beam or len(beam[0]) == attack.length

    def grown(count):
        begins = [[token] for token in next_tokens(slot, [], attack.width, rng)] if anew() else beam
        each = -(-count // len(begins))
        nexts = [next_tokens(slot, string, each, rng) for string in begins]
        # Where fewer are wanted than there are, the first ones of every string of the beam.
        ranks = sorted((rank, place) for place in range(len(begins)) for rank in range(each))[:count]
        return [[*begins[place], nexts[place][rank]] for place, rank in sorted((p, r) for r, p in ranks)]

    for _ in range(iterations):
        asked = [0] + [1] * attack.width if anew() else [len(beam[0])] * len(beam)
        cost += sum(2 * proposal_parameters * (around + length) for length in asked)
        strings, texts = [], []
        while len(strings) < attack.candidates:
            proposed = grown(attack.candidates - len(strings))
            ((alive, written),) = survivors(victim.vocabulary, [(slot, np.array(proposed))])
            strings += [string for string, lives in zip(proposed, alive, strict=True) if lives]
            texts += [text for text, lives in zip(written, alive, strict=True) if lives]
        cost += sum(2 * victim.parameters * (around + len(string)) for string in strings)
        values = []
        for text in texts:
            logits = victim.logits(example.text(text))
            values.append(logits[example.label] - logits[1 - example.label])
        for string, value in zip(strings, values, strict=True):
            if value < 0:
                return tuple(string), cost
        if min(values) < best_margin:
            best, best_margin = strings[int(np.argmin(values))], min(values)
        beam = [strings[place] for place in sorted(np.argsort(values, kind="stable")[: attack.width])]
    return tuple(best), cost
