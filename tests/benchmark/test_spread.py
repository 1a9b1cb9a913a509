"""A model whose parts are brought inputs by hooks, as one that is spread over several cards, answers like any other.

There are no several cards here: the hooks are the real ones, and bring everything to the same processor.
"""

from dataclasses import replace

import pytest
from accelerate import dispatch_model
from victims import save_checkpoint

from holdfast.benchmark import GCG, attack_examples, load_victim
from holdfast.benchmark.victim import Victim
from holdfast.tasks import get_task

EXAMPLES = get_task("password-match").evaluation().examples[:3]
LABELS = get_task("password-match").labels


def hooked(victim: Victim) -> Victim:
    """With a hook at every part, as `device_map` attaches them."""
    parts = {
        name: "cpu" for name, module in victim.model.named_modules() if next(module.parameters(False), None) is not None
    }
    return replace(victim, model=dispatch_model(victim.model, parts, main_device="cpu", force_hooks=True), spread=True)


@pytest.mark.parametrize("causal", [False, True], ids=["classifier", "language model"])
def test_an_attack_finds_the_same_through_hooks(tmp_path, causal: bool) -> None:
    folder = save_checkpoint(tmp_path / "victim", "llama", scale=6.0, causal=causal)
    attack = GCG(candidates=16, top_k=16)
    usual = attack_examples(load_victim(folder).for_labels(LABELS), EXAMPLES, attack, budget=6e8)
    through_hooks = attack_examples(hooked(load_victim(folder)).for_labels(LABELS), EXAMPLES, attack, budget=6e8)
    assert through_hooks == usual
    assert any(record.iterations for record in usual)


def test_on_a_machine_without_cards_auto_is_the_processor(tmp_path) -> None:
    folder = save_checkpoint(tmp_path / "victim", "llama")
    victim, usual = load_victim(folder, device="auto"), load_victim(folder, device="cpu")
    text = EXAMPLES[0].text()
    assert victim.spread
    assert victim.logits(text).tolist() == usual.logits(text).tolist()
