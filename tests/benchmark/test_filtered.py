"""A filter refuses unlikely texts: attacked they hold, clean they are errors, and an attack sees the way to go."""

import numpy as np
import pytest
import torch
import victims
from torch import nn
from transformers import AutoModelForCausalLM, Gemma2Config
from victims import ARCHITECTURES, DECODERS, as_language_model, byte_level_tokenizer, save_checkpoint

from holdfast.benchmark import GCG, RandomToken, Settings, attack_examples, load_victim, score
from holdfast.benchmark.filtered import FALSE_POSITIVES, Filtered, as_it_counts
from holdfast.benchmark.flags import BATCH_DEPENDENT, NON_DETERMINISTIC
from holdfast.benchmark.likelihood import Likelihood, mean_loss
from holdfast.benchmark.pass_base import Unit
from holdfast.benchmark.passes import full_text, passes_for
from holdfast.benchmark.scoring import for_task
from holdfast.benchmark.settings import training_texts
from holdfast.benchmark.slot import prepare_slot, survivors
from holdfast.submissions.checkpoints import checkpoint_folder
from holdfast.submissions.replay import Replayer
from holdfast.submissions.traces import read_trace
from holdfast.tasks import CheckpointError, DataError, Example, UsageError, get_task

TASK = get_task("password-match")
EVALUATION = TASK.evaluation()
EXAMPLES = EVALUATION.examples[:8]
BUDGET = 8e9
SMALL_GCG = GCG(candidates=24, top_k=32)


def windowed(size):
    """Every second layer attends in a window only, so that a prefix cannot be shared."""
    return Gemma2Config(
        vocab_size=size,
        num_key_value_heads=2,
        head_dim=8,
        sliding_window=16,
        final_logit_softcapping=None,
        **victims._COMMON,
    )


@pytest.fixture(scope="module", params=[*DECODERS, "windowed"])
def reader(request, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, "windowed", windowed)
        folder = save_checkpoint(tmp_path_factory.mktemp(request.param), request.param, causal=True)
    return load_victim(folder, device="cpu")


def surviving(victim, examples, count):
    slots = [prepare_slot(example, victim.vocabulary, 10, victim.context) for example in examples]
    drawn = [victim.vocabulary.draw(np.random.default_rng(0), 60, 10) for _ in slots]
    checked = survivors(victim.vocabulary, list(zip(slots, drawn, strict=True)))
    return [(slot, rows[alive][:count]) for slot, rows, (alive, _) in zip(slots, drawn, checked, strict=True)]


SHORT = [
    Example("one", "the farmer said yellow apple\n", "\nAnswer:", 0),
    Example("two", "the farmer said\n", "\nAnswer:", 1),
    Example("none", "", "\nis it silver?\nAnswer:", 1),
]


def test_candidates_have_the_mean_losses_that_the_model_gives_their_texts(reader):
    likelihood = Likelihood(reader, reader.vocabulary.ids)
    for alike in (SHORT[:2], SHORT[2:]):
        chosen = surviving(reader, alike, 4)
        losses = likelihood.losses([Unit(likelihood.prepare(slot), rows) for slot, rows in chosen])
        model = AutoModelForCausalLM.from_pretrained(reader.folder, dtype=torch.float32).eval()
        for (slot, rows), ours in zip(chosen, losses.tolist(), strict=True):
            for text, our in zip(reader.vocabulary.write(rows), ours, strict=True):
                ids = reader.tokenizer(slot.example.text(text), return_tensors="pt")["input_ids"]
                with torch.no_grad():
                    theirs = float(model(ids, labels=ids).loss)
                assert our == pytest.approx(theirs, rel=1e-4)
                assert mean_loss(reader, slot.example.text(text)) == pytest.approx(theirs, rel=1e-4)
    assert likelihood.executed > 0


def test_the_gradient_counts_a_token_as_read_and_as_predicted(reader):
    likelihood = Likelihood(reader, reader.vocabulary.ids)
    for alike in (SHORT[:2], SHORT[2:]):
        chosen = surviving(reader, alike, 1)
        gradients = likelihood.slot_gradient([Unit(likelihood.prepare(slot), rows) for slot, rows in chosen])
        for (slot, rows), ours in zip(chosen, gradients, strict=True):
            ids = torch.tensor([*slot.prefix, *rows[0].tolist(), *slot.suffix])
            # By the model's own lookup, as some models scale what they look up.
            table = reader.model.get_input_embeddings()(torch.arange(len(reader.tokenizer))).detach()
            one_hot = nn.functional.one_hot(ids, len(table)).float().requires_grad_(True)
            logits = reader.model(inputs_embeds=(one_hot @ table)[None]).logits[0, :-1]
            (-(logits.log_softmax(-1) * one_hot[1:]).sum() / (len(ids) - 1)).backward()
            start = len(slot.prefix)
            expected = one_hot.grad[start : start + slot.length][:, reader.vocabulary.ids]
            torch.testing.assert_close(ours, expected, atol=1e-4 * float(expected.abs().max()), rtol=1e-3)


def test_a_model_that_changes_its_heads_logits_cannot_tell_likelihoods(tmp_path, monkeypatch):
    monkeypatch.setitem(
        ARCHITECTURES,
        "capped",
        lambda size: Gemma2Config(vocab_size=size, num_key_value_heads=2, head_dim=8, **victims._COMMON),
    )
    capped = load_victim(save_checkpoint(tmp_path, "capped", causal=True, final_logit_softcapping=0.5), device="cpu")
    with pytest.raises(CheckpointError, match="does not compute its logits by one linear layer"):
        Likelihood(capped, capped.vocabulary.ids)


@pytest.fixture(scope="module")
def classifier():
    return load_victim(checkpoint_folder("password-match-undefended"), device="cpu")


@pytest.fixture(scope="module")
def language_model(classifier, tmp_path_factory):
    """The classifier's shape with a language model's head, taught the task's texts for some steps."""
    folder = as_language_model(classifier.folder, tmp_path_factory.mktemp("language-model"), TASK.labels)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    texts = [classifier.tokenizer(text, return_tensors="pt")["input_ids"] for text in training_texts(TASK.name)[:640]]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for start in range(0, len(texts), 8):
        loss = torch.stack([model(ids, labels=ids).loss for ids in texts[start : start + 8]]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    return load_victim(folder, device="cpu")


@pytest.fixture(scope="module")
def filtered(classifier, language_model):
    return for_task(Filtered.of(classifier, language_model, "filter.yaml"), TASK)


def test_one_in_a_hundred_clean_training_texts_is_refused(filtered):
    refused = [filtered.refuses(text) for text in training_texts(TASK.name)[:1000]]
    assert 0 < sum(refused) <= 1000 * FALSE_POSITIVES


def test_a_random_string_is_refused_by_a_model_of_the_tasks_texts(filtered):
    refused = [
        filtered.refuses(slot.example.text(text))
        for slot, rows in surviving(filtered, EXAMPLES, 4)
        for text in filtered.vocabulary.write(rows)
    ]
    assert np.mean(refused) > 0.9


@pytest.mark.parametrize("label", [0, 1])
def test_a_refused_text_is_an_error_when_clean_and_holds_when_attacked(label):
    for logits in ((1.0, 4.0), (4.0, 1.0)):
        for excess, refused in ((2.0, True), (-2.0, False)):
            answers = torch.tensor(logits), torch.tensor(excess), torch.tensor(label)
            clean = int(as_it_counts(*answers, attacked=False).argmax())
            attacked = int(as_it_counts(*answers, attacked=True).argmax())
            right = int(np.argmax(logits)) == label
            assert (clean == label) == (right and not refused)
            assert (attacked == label) == (right or refused)


@pytest.mark.parametrize("kind", [passes_for, full_text])
def test_candidates_have_the_verdicts_logits(filtered, kind):
    passes = kind(filtered)
    chosen = surviving(filtered, EXAMPLES[:3], 4)
    logits = passes.logits([Unit(passes.prepare(slot), rows) for slot, rows in chosen]).numpy()
    for (slot, rows), ours in zip(chosen, logits, strict=True):
        texts = [slot.example.text(text) for text in filtered.vocabulary.write(rows)]
        expected = [filtered.verdict(text, slot.example.label, attacked=True) for text in texts]
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-3)


def test_the_gradient_leads_past_the_filter_too(filtered):
    """It is that of the sum of two losses: log(1 + exp(x)) of the margin, and of the distance above the threshold."""
    passes = passes_for(filtered)
    for slot, rows in surviving(filtered, EXAMPLES[:3], 1):
        ours = passes.slot_gradient([Unit(passes.prepare(slot), rows)])[0]
        ids = torch.tensor([*slot.prefix, *rows[0].tolist(), *slot.suffix])
        asked, reader = filtered.asked.model, filtered.language_model.model
        one_hot = nn.functional.one_hot(ids, len(reader.get_input_embeddings().weight)).float().requires_grad_(True)
        logits = asked(inputs_embeds=(one_hot @ asked.get_input_embeddings().weight)[None]).logits[0]
        next_logits = reader(inputs_embeds=(one_hot @ reader.get_input_embeddings().weight)[None]).logits[0, :-1]
        loss = -(next_logits.log_softmax(-1) * one_hot[1:]).sum() / (len(ids) - 1)
        margin = logits[slot.example.label] - logits[1 - slot.example.label]
        (nn.functional.softplus(margin) + nn.functional.softplus(filtered.excess(loss))).backward()
        start = len(slot.prefix)
        expected = one_hot.grad[start : start + slot.length][:, filtered.vocabulary.ids]
        torch.testing.assert_close(ours, expected, atol=1e-4 * float(expected.abs().max()), rtol=1e-3)


@pytest.mark.parametrize("attack", [RandomToken(), SMALL_GCG], ids=lambda attack: attack.name)
def test_every_record_is_the_verdict_and_charged_for_both_models(filtered, classifier, language_model, attack):
    assert filtered.parameters == classifier.parameters + language_model.parameters
    records = attack_examples(filtered, EXAMPLES, attack, budget=BUDGET)
    passes = 2 * attack.candidates + (6 if attack.uses_gradient else 0)
    for example, record in zip(EXAMPLES, records, strict=True):
        right = classifier.classify(example.text()) == example.label and not filtered.refuses(example.text())
        assert record.clean_correct == right
        assert record.cost == record.iterations * passes * filtered.parameters * record.tokens
        if record.attack_string is not None:
            text = example.text(record.attack_string)
            fooled = classifier.classify(text) != example.label and not filtered.refuses(text)
            assert fooled == (record.break_cost is not None)


@pytest.mark.slow
def test_gradients_find_strings_that_pass_the_filter_and_random_tokens_do_not(filtered):
    broken = {}
    for attack in (RandomToken(), GCG(candidates=64, top_k=64)):
        records = attack_examples(filtered, EXAMPLES, attack, budget=3e11)
        broken[attack.name] = sum(record.break_cost is not None for record in records)
    assert broken["gcg"] > broken["random_token"]


@pytest.mark.parametrize("attack", [RandomToken(), SMALL_GCG], ids=lambda attack: attack.name)
def test_records_do_not_depend_on_the_batch_size(filtered, attack):
    reference = attack_examples(filtered, EXAMPLES[:4], attack, budget=BUDGET / 2)
    assert attack_examples(filtered, EXAMPLES[:4], attack, budget=BUDGET / 2, batch_size=7) == reference


def test_a_result_says_that_there_is_a_filter_and_can_be_replayed(filtered, classifier, language_model, tmp_path):
    result = score(filtered, EVALUATION, SMALL_GCG, Settings("custom", 8, BUDGET), tmp_path)
    assert result.victim.kind == "filter"
    assert result.victim.filter_threshold == filtered.threshold
    assert not {BATCH_DEPENDENT, NON_DETERMINISTIC} & set(result.flags)
    rows = read_trace((tmp_path / "traces/password-match/gcg-suffix.parquet").read_bytes())
    again = for_task(Filtered.of(classifier, language_model, "elsewhere.yaml"), TASK)
    problems, replay = Replayer(again, EVALUATION).replay(result, rows)
    assert problems == []
    assert replay.examples == 8
    looser = Filtered.of(classifier, language_model, "looser.yaml").for_labels(TASK.labels)
    looser = looser.calibrated(lambda: [f"{text} ???" for text in training_texts(TASK.name)[:200]])
    problems, _ = Replayer(looser, EVALUATION).replay(result, rows)
    assert any("filter_threshold" in problem for problem in problems)


def test_a_language_model_can_be_its_own_filter(language_model):
    own = for_task(Filtered.of(language_model, None, "own.yaml"), TASK)
    assert own.parameters == language_model.parameters
    assert own.digest != language_model.digest
    asked = language_model.for_labels(TASK.labels)
    for example in EXAMPLES[:4]:
        np.testing.assert_array_equal(own.logits(example.text()), asked.logits(example.text()))


def test_other_parts_are_another_victim(classifier, language_model):
    parts = [(classifier, language_model), (language_model, None), (language_model, language_model)]
    assert len({Filtered.of(model, reader, "f").digest for model, reader in parts}) == 3


def test_what_cannot_be_a_filter_is_refused(classifier, language_model, tmp_path):
    with pytest.raises(CheckpointError, match=r"is no causal language model, .*`language_model`"):
        Filtered.of(classifier, None, "f")
    other = load_victim(save_checkpoint(tmp_path, "llama", byte_level_tokenizer(), causal=True), device="cpu")
    with pytest.raises(CheckpointError, match="has another tokenizer than"):
        Filtered.of(classifier, other, "f")
    unset = Filtered.of(classifier, language_model, "f").for_labels(TASK.labels)
    with pytest.raises(UsageError, match=r"f sets its threshold by a task's training texts"):
        attack_examples(unset, EXAMPLES[:1], RandomToken(), budget=BUDGET)
    with pytest.raises(DataError, match="there are 99; at least 100 are needed"):
        unset.calibrated(lambda: ["text"] * 99)
    with pytest.raises(CheckpointError, match="finds all texts equally likely"):
        unset.calibrated(lambda: ["text"] * 100)
