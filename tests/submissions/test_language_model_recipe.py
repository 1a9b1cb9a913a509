"""The language-model recipe: whole texts are learned, random tokens are not, and the answer counts for half."""

from pathlib import Path

import numpy as np
import pytest
import torch
from victims import byte_level_tokenizer, save_checkpoint

from holdfast.benchmark.digest import checkpoint_digest
from holdfast.benchmark.victim import load_victim
from holdfast.benchmark.vocabulary import attack_vocabulary
from holdfast.submissions.recipes import (
    Shape,
    StandardSettings,
    TrainingProgress,
    TrainingRecord,
    read_training_record,
    train,
)
from holdfast.submissions.recipes.batches import Case, Cases, RandomSlots
from holdfast.submissions.recipes.fitting import Fit, fit
from holdfast.submissions.recipes.language_model import WholeTexts, weighted_loss
from holdfast.submissions.recipes.shapes import new_model
from holdfast.tasks import CheckpointError, UsageError, get_task

TASK = get_task("password-match")
SHAPE = Shape(layers=1, width=16, heads=2, context=128)
BRIEF = StandardSettings(examples=128, epochs=2, batch_size=8, learning_rate=5e-3)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("classifier") / "checkpoint")


@pytest.fixture(scope="module")
def trained(classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainingRecord, list[float]]:
    """A language model with the classifier's tokenizer, its record, and the losses as it was trained."""
    out = tmp_path_factory.mktemp("trained") / "checkpoint"
    seen: list[TrainingProgress] = []
    record = train(
        TASK,
        out,
        recipe="language-model",
        tokenizer_of=classifier,
        shape=SHAPE,
        standard=BRIEF,
        on_progress=seen.append,
    )
    assert {progress.stage for progress in seen} == {"language-model"}
    return out, record, [progress.loss for progress in seen if progress.loss is not None]


def test_it_answers_in_label_words_with_the_tokenizer_of_the_classifier(
    trained: tuple[Path, TrainingRecord, list[float]], classifier: Path
) -> None:
    victim = load_victim(trained[0])
    assert victim.kind == "language-model"
    assert victim.for_labels(TASK.labels).classify(TASK.training(1)[0].text()) in (0, 1)
    theirs = load_victim(classifier).tokenizer.backend_tokenizer.to_str()
    assert victim.tokenizer.backend_tokenizer.to_str() == theirs
    assert victim.context == SHAPE.context


def test_its_texts_become_likely(trained: tuple[Path, TrainingRecord, list[float]]) -> None:
    losses = trained[2]
    assert losses[-1] < 0.6 * losses[0]


def test_its_record_says_how_it_was_made(trained: tuple[Path, TrainingRecord, list[float]], classifier: Path) -> None:
    out, record, _ = trained
    assert read_training_record(out) == record
    assert (record.recipe, record.tokenizer_of, record.base) == ("language-model", str(classifier), None)
    assert (record.digest, record.parameters) == (checkpoint_digest(out), load_victim(out).parameters)
    assert record.standard is not None
    assert record.adversarial is None
    assert record.compute.fine_tuning > 0
    assert record.compute.defence == 0


def test_only_the_random_tokens_and_the_first_one_are_not_learned() -> None:
    tokenizer = byte_level_tokenizer()
    vocabulary = attack_vocabulary(tokenizer, len(tokenizer), exclude={tokenizer.pad_token_id})
    collate = WholeTexts(tokenizer, RandomSlots(vocabulary, 0.5, np.random.default_rng(0)), TASK.labels)
    cases = [Case(example) for example in TASK.training(40)]
    batch = collate(cases)
    filled = 0
    for case, row, mask, weights in zip(
        cases, batch["input_ids"].tolist(), batch["attention_mask"], batch["weights"], strict=True
    ):
        assert not weights[~mask.bool()].any(), "padding"
        tokens = [token for token, real in zip(row, mask.tolist(), strict=True) if real]
        before, after = tokenizer(case.example.before)["input_ids"], tokenizer(case.example.after)["input_ids"]
        word = tokenizer(f" {TASK.labels[case.example.label]}")["input_ids"]
        random = len(tokens) - len(before) - len(after) - len(word)
        assert tokens == [*before, *tokens[len(before) : len(before) + random], *after, *word]
        learned = [False] + [True] * (len(before) - 1) + [False] * random + [True] * (len(after) + len(word))
        assert (weights[: len(tokens)] > 0).tolist() == learned
        assert weights[len(tokens) - len(word) : len(tokens)].sum() == pytest.approx(0.5)
        assert weights.sum() == pytest.approx(1)
        filled += random > 0
    assert 10 < filled < 30


def test_the_loss_is_that_of_each_token_after_those_before_it() -> None:
    rng = torch.Generator().manual_seed(0)
    logits, ids = torch.randn(2, 4, 5, generator=rng), torch.randint(5, (2, 4), generator=rng)
    weights = torch.tensor([[0.0, 0.2, 0.0, 0.8], [0.0, 1.0, 0.0, 0.0]])
    logs = logits.log_softmax(dim=-1)
    by_hand = -(0.2 * logs[0, 0, ids[0, 1]] + 0.8 * logs[0, 2, ids[0, 3]] + logs[1, 0, ids[1, 1]]) / 2
    assert weighted_loss(logits, ids, weights) == pytest.approx(float(by_hand))


def test_training_is_charged_for_the_label_words_too() -> None:
    tokenizer = byte_level_tokenizer()
    model = new_model(SHAPE, tokenizer, None, seed=0)
    vocabulary = attack_vocabulary(tokenizer, len(tokenizer), exclude={tokenizer.pad_token_id})
    examples = TASK.training(5)
    texts = [f"{example.text('a b')} {TASK.labels[example.label]}" for example in examples]
    tokens = sum(len(tokenizer(text)["input_ids"]) for text in texts)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    cases = Cases([Case(example, "a b") for example in examples])
    how = Fit(3, 2, 1e-3, 0.5, 0, "cpu")
    cost = fit(model, tokenizer, vocabulary, cases, how, lambda step, steps, loss: None, TASK.labels)
    assert cost == 3 * 6 * parameters * tokens


def test_it_goes_on_from_a_classifier_with_a_new_head(classifier: Path, tmp_path: Path) -> None:
    record = train(TASK, tmp_path / "out", recipe="language-model", base=classifier, standard=BRIEF)
    victim = load_victim(tmp_path / "out")
    assert (victim.kind, victim.digest) == ("language-model", record.digest)
    assert record.compute.pretraining is None


def test_an_encoder_is_no_start_for_a_language_model(tmp_path: Path) -> None:
    encoder = save_checkpoint(tmp_path / "bert", "bert")
    with pytest.raises(CheckpointError, match="sees what comes after a token"):
        train(TASK, tmp_path / "out", recipe="language-model", base=encoder, standard=BRIEF)
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_comes_from_one_place(classifier: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="A base brings its tokenizer"):
        train(TASK, tmp_path / "out", base=classifier, tokenizer_of=classifier)
    with pytest.raises(CheckpointError, match="no checkpoint folder"):
        train(TASK, tmp_path / "out", tokenizer_of=tmp_path / "nowhere", standard=BRIEF)
    assert not (tmp_path / "out").exists()
