"""A causal language model answers with transformers' own logits of the two label words, however it is run."""

import json
import shutil

import numpy as np
import pytest
import torch
import victims
from tokenizers import processors
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma2Config
from victims import ARCHITECTURES, DECODERS, byte_level_tokenizer, save_checkpoint, word_piece_tokenizer

from holdfast.benchmark import GCG, RandomToken, Settings, attack_examples, load_victim, score
from holdfast.benchmark.pass_base import Unit
from holdfast.benchmark.passes import FullText, SharedPrefix, passes_for
from holdfast.benchmark.slot import prepare_slot, survivors
from holdfast.submissions.checkpoints import checkpoint_folder
from holdfast.tasks import CheckpointError, Example, UsageError, get_task

LABELS = ("no", "yes")
EXAMPLES = [
    Example(f"e{count}", "the farmer said yellow apple\n" * count, "\nAnswer:", count % 2) for count in (1, 4, 2)
]


def gemma2(size):
    """Logits are capped, and every second layer attends in a window only."""
    return Gemma2Config(
        vocab_size=size,
        num_key_value_heads=2,
        head_dim=8,
        sliding_window=16,
        final_logit_softcapping=2.0,
        **victims._COMMON,
    )


@pytest.fixture(
    scope="module",
    params=[(name, False) for name in DECODERS] + [("llama", True), ("qwen2", True), ("gemma2", True)],
    ids=lambda chosen: f"{chosen[0]}{'-tied' if chosen[1] else ''}",
)
def folder(request, tmp_path_factory):
    name, tied = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, "gemma2", gemma2)
        return save_checkpoint(tmp_path_factory.mktemp(name), name, causal=True, tie_word_embeddings=tied)


def theirs(folder, tokens, text):
    """What transformers gives two tokens behind a text."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = model(**AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")).logits
    return logits[0, -1, list(tokens)].numpy()


def surviving(victim, count=4):
    """Slots, and for each `count` strings that survive in it with their texts."""
    rng = np.random.default_rng(0)
    slots = [prepare_slot(example, victim.vocabulary, 10, victim.context) for example in EXAMPLES]
    drawn = [victim.vocabulary.draw(rng, 64, 10) for _ in slots]
    checked = survivors(victim.vocabulary, list(zip(slots, drawn, strict=True)))
    strings = [rows[alive][:count] for rows, (alive, _) in zip(drawn, checked, strict=True)]
    texts = [[text for text, lives in zip(written, alive, strict=True) if lives][:count] for alive, written in checked]
    return slots, strings, texts


def test_the_answer_is_transformers_own_logits_of_the_label_words(folder):
    victim = load_victim(folder, device="cpu").for_labels(LABELS)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    length = len(tokenizer("Answer:")["input_ids"])
    tokens = [tokenizer(f"Answer: {word}")["input_ids"][length] for word in LABELS]
    for example in EXAMPLES:
        expected = theirs(folder, tokens, example.text("hello"))
        np.testing.assert_allclose(victim.logits(example.text("hello")), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", [FullText, passes_for], ids=["full text", "fastest"])
def test_batched_logits_are_those_of_the_public_path(folder, kind):
    victim = load_victim(folder, device="cpu").for_labels(LABELS)
    passes = kind(victim)
    slots, strings, texts = surviving(victim)
    units = [Unit(passes.prepare(slot), rows) for slot, rows in zip(slots, strings, strict=True)]
    alone = [[victim.logits(slot.example.text(text)) for text in own] for slot, own in zip(slots, texts, strict=True)]
    np.testing.assert_allclose(passes.logits(units).numpy(), np.array(alone), rtol=1e-4, atol=1e-4)


def test_language_models_share_their_prefix_where_they_attend_in_full(folder):
    victim = load_victim(folder, device="cpu").for_labels(LABELS)
    windowed = victim.model.config.model_type == "gemma2"
    assert type(passes_for(victim)) is (FullText if windowed else SharedPrefix)


def test_the_slot_gradient_is_that_of_the_one_hot_tokens_through_the_whole_model(folder):
    victim = load_victim(folder, device="cpu").for_labels(LABELS)
    whole = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval().requires_grad_(False)
    size = whole.get_input_embeddings().num_embeddings
    table = whole.get_input_embeddings()(torch.arange(size))
    slots, strings, _ = surviving(victim, count=1)
    for kind in (FullText, passes_for):
        passes = kind(victim)
        units = [Unit(passes.prepare(slot), rows) for slot, rows in zip(slots, strings, strict=True)]
        for slot, rows, ours in zip(slots, strings, passes.slot_gradient(units), strict=True):
            ids = torch.tensor([*slot.prefix, *rows[0].tolist(), *slot.suffix])
            one_hot = nn.functional.one_hot(ids, size).float().requires_grad_(True)
            logits = whole(inputs_embeds=(one_hot @ table)[None]).logits[:, -1, list(victim.label_tokens)]
            nn.functional.cross_entropy(logits, torch.tensor([1 - slot.example.label])).backward()
            start = len(slot.prefix)
            expected = one_hot.grad[start : start + slot.length][:, victim.vocabulary.ids]
            assert expected.abs().max() > 0
            torch.testing.assert_close(ours, expected, atol=1e-4 * float(expected.abs().max()), rtol=1e-3)


def test_all_parameters_count_and_tied_embeddings_once(tmp_path):
    sizes = {}
    for tied in (False, True):
        folder = save_checkpoint(tmp_path / str(tied), "llama", causal=True, tie_word_embeddings=tied)
        victim = load_victim(folder, device="cpu")
        sizes[tied] = victim.parameters
        assert victim.for_labels(LABELS).parameters == victim.parameters
        assert victim.parameters == sum(
            each.numel() for each in AutoModelForCausalLM.from_pretrained(folder).parameters()
        )
    config = AutoModelForCausalLM.from_pretrained(folder).config
    assert sizes[False] - sizes[True] == config.vocab_size * config.hidden_size


def test_one_checkpoint_answers_several_tasks(tmp_path):
    loaded = load_victim(save_checkpoint(tmp_path, "gpt_neox", causal=True), device="cpu")
    first, second = loaded.for_labels(LABELS), loaded.for_labels(("winter", "summer"))
    text = EXAMPLES[0].text()
    np.testing.assert_allclose(first.logits(text), theirs(tmp_path, first.label_tokens, text), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(second.logits(text), theirs(tmp_path, second.label_tokens, text), rtol=1e-4, atol=1e-4)
    assert first.for_labels(LABELS) is first
    with pytest.raises(UsageError, match="other label words already"):
        first.for_labels(("winter", "summer"))


def test_a_success_found_in_low_precision_is_true_in_fp32(tmp_path):
    victim = load_victim(save_checkpoint(tmp_path, "llama", causal=True), device="cpu", dtype="bfloat16")
    victim = victim.for_labels(LABELS)
    records = attack_examples(victim, EXAMPLES, RandomToken(), budget=2e9)
    assert any(record.break_cost for record in records), "the victim is weak enough for this test to say something"
    for example, record in zip(EXAMPLES, records, strict=True):
        if record.attack_string is not None:
            logits = theirs(tmp_path, victim.label_tokens, example.text(record.attack_string))
            np.testing.assert_allclose(record.attack_logits, logits, rtol=1e-4, atol=1e-4)
            assert (int(logits.argmax()) != example.label) == (record.break_cost is not None)


@pytest.mark.parametrize("attack", [RandomToken(), GCG(candidates=24, top_k=32)], ids=lambda attack: attack.name)
def test_a_language_model_with_a_classifiers_weights_breaks_where_the_classifier_does(tmp_path, attack):
    task = get_task("password-match")
    examples = task.evaluation().examples[:12]
    classifier = load_victim(checkpoint_folder("password-match-undefended"), device="cpu")
    language_model = load_victim(victims.as_language_model(classifier.folder, tmp_path, task.labels), device="cpu")
    language_model = language_model.for_labels(task.labels)
    assert classifier.for_labels(task.labels) is classifier
    per_parameter = 50_000
    ours, reference = (
        attack_examples(each, examples, attack, budget=per_parameter * each.parameters, task=task.name)
        for each in (language_model, classifier)
    )
    assert any(record.break_cost for record in reference)
    assert any(record.clean_correct and not record.break_cost for record in reference)
    for one, other in zip(ours, reference, strict=True):
        assert (one.clean_correct, one.attack_string, one.iterations) == (
            other.clean_correct,
            other.attack_string,
            other.iterations,
        )
        assert one.cost * classifier.parameters == other.cost * language_model.parameters


def test_the_result_says_that_it_is_a_language_model(tmp_path):
    task = get_task("password-match")
    folder = victims.as_language_model(checkpoint_folder("password-match-undefended"), tmp_path / "lm", task.labels)
    victim = load_victim(folder, device="cpu").for_labels(task.labels)
    result = score(victim, task.evaluation(), RandomToken(), Settings("custom", 4, 1e9), tmp_path / "out")
    assert (result.victim.kind, result.victim.architecture) == ("language-model", "gpt_neox")


def test_without_its_label_words_a_language_model_does_not_answer(tmp_path):
    victim = load_victim(save_checkpoint(tmp_path, "llama", causal=True), device="cpu")
    with pytest.raises(UsageError, match=r"answers in the words of a task; name them with victim\.for_labels"):
        victim.logits("Is it?\nAnswer:")
    with pytest.raises(UsageError, match="answers in the words of a task"):
        attack_examples(victim, EXAMPLES, RandomToken(), budget=1e9)


def test_label_words_that_the_next_token_cannot_tell_apart_are_refused(tmp_path):
    victim = load_victim(save_checkpoint(tmp_path, "llama", causal=True), device="cpu")
    with pytest.raises(CheckpointError, match="'zebra' and 'zebras' begin with the same token"):
        victim.for_labels(("zebra", "zebras"))


def test_a_tokenizer_that_ends_texts_with_a_token_of_its_own_is_refused(tmp_path):
    tokenizer = byte_level_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", tokenizer.pad_token_id)]
    )
    victim = load_victim(save_checkpoint(tmp_path, "llama", tokenizer, causal=True), device="cpu")
    with pytest.raises(CheckpointError, match="a tokenizer that adds nothing at the end of a text"):
        victim.for_labels(LABELS)


def test_a_tokenizer_without_the_words_is_refused(tmp_path):
    tokenizer = word_piece_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    victim = load_victim(save_checkpoint(tmp_path, "llama", tokenizer, causal=True), device="cpu")
    with pytest.raises(CheckpointError, match="has no token for the label word '否'"):
        victim.for_labels(("否", "yes"))


def test_a_language_model_without_its_head_is_refused(tmp_path):
    folder = save_checkpoint(tmp_path / "whole", "llama", causal=True)
    classifier = shutil.copytree(save_checkpoint(tmp_path / "classifier", "llama"), tmp_path / "headless")
    config = json.loads((classifier / "config.json").read_text())
    config["architectures"] = json.loads((folder / "config.json").read_text())["architectures"]
    (classifier / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"not a whole model: 1 weights are missing from it, among them lm_head"):
        load_victim(classifier, device="cpu")
