"""The recipes: what they train on, what they charge, what they write."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from victims import byte_level_tokenizer, save_checkpoint

from holdfast.benchmark.attacks.gcg import GCG
from holdfast.benchmark.digest import checkpoint_digest
from holdfast.benchmark.slot import prepare_slot
from holdfast.benchmark.victim import load_victim
from holdfast.benchmark.vocabulary import AttackVocabulary, attack_vocabulary
from holdfast.submissions.recipes import (
    AdversarialSettings,
    Shape,
    StandardSettings,
    TrainingProgress,
    TrainingRecord,
    read_training_record,
    train,
)
from holdfast.submissions.recipes.adversarial import Pool, attack_round, mixed
from holdfast.submissions.recipes.batches import ByLength, Case, Cases, Collator, RandomSlots, shortened
from holdfast.submissions.recipes.fitting import Fit, fit
from holdfast.submissions.recipes.shapes import new_model
from holdfast.submissions.recipes.tokenizer import train_tokenizer
from holdfast.tasks import CheckpointError, Example, RecordError, UsageError, get_task

TASK = get_task("password-match")
SHAPE = Shape(layers=1, width=16, heads=2, vocabulary=300, context=128)
BRIEF = StandardSettings(examples=64, epochs=1, batch_size=16)
ONE_ROUND = AdversarialSettings(rounds=1, attacked=16, iterations=2, candidates=8, steps=4)


@pytest.fixture(scope="module")
def vocabulary() -> AttackVocabulary:
    tokenizer = train_tokenizer((example.text() for example in TASK.training(200)), 400, 128)
    return attack_vocabulary(tokenizer, 400, exclude={0})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainingRecord]:
    """One checkpoint made by both stages, from scratch."""
    out = tmp_path_factory.mktemp("trained") / "checkpoint"
    record = train(
        TASK, out, recipe="adversarial", shape=SHAPE, standard=BRIEF, adversarial=ONE_ROUND, command="holdfast train …"
    )
    return out, record


def test_the_same_seed_makes_the_same_checkpoint_and_another_seed_another(
    trained: tuple[Path, TrainingRecord], tmp_path: Path
) -> None:
    def digest(seed: int) -> str:
        out = tmp_path / str(seed)
        train(TASK, out, recipe="adversarial", shape=SHAPE, standard=BRIEF, adversarial=ONE_ROUND, seed=seed)
        return checkpoint_digest(out)

    assert digest(0) == checkpoint_digest(trained[0])
    assert digest(1) != checkpoint_digest(trained[0])


def test_a_checkpoint_is_a_victim_with_the_tasks_labels(trained: tuple[Path, TrainingRecord]) -> None:
    victim = load_victim(trained[0])
    assert victim.model.config.id2label == {0: "no", 1: "yes"}
    assert victim.model.config.problem_type == "single_label_classification"
    assert victim.model.config.pad_token_id == victim.tokenizer.pad_token_id
    assert victim.context == 128
    stored = (trained[0] / "config.json").read_text(encoding="utf-8")
    assert json.loads(stored)["dtype"] == "float16"


def test_the_record_beside_a_checkpoint_says_how_it_was_made(trained: tuple[Path, TrainingRecord]) -> None:
    out, record = trained
    assert read_training_record(out) == record
    assert record.command == "holdfast train …"
    assert record.digest == checkpoint_digest(out)
    assert record.parameters == load_victim(out).parameters
    assert (record.task, record.recipe, record.seed, record.base) == ("password-match", "adversarial", 0, None)
    assert record.compute.pretraining == 0
    assert record.compute.fine_tuning > 0
    assert 0 <= record.clean_accuracy <= 1


def test_the_defence_is_charged_for_its_attacks_and_its_training(trained: tuple[Path, TrainingRecord]) -> None:
    (only,) = trained[1].rounds
    assert only.attack_compute > 0
    assert only.training_compute > 0
    assert trained[1].compute.defence == only.attack_compute + only.training_compute


def test_training_is_charged_6nt_over_real_tokens(vocabulary: AttackVocabulary) -> None:
    tokenizer = vocabulary.tokenizer
    model = new_model(replace(SHAPE, vocabulary=400), tokenizer, TASK.labels, seed=0)
    parameters = 16 * 400 + 3 * 16 * 17 + 16 * 17 + 64 * 17 + 16 * 65 + 6 * 16 + 2 * 16
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    examples = TASK.training(5)
    strings = ["", "a", "a b", "abc", "zzzzzz"]
    cases = Cases([Case(example, string) for example, string in zip(examples, strings, strict=True)])
    tokens = sum(len(tokenizer(e.text(s)).input_ids) for e, s in zip(examples, strings, strict=True))
    cost = fit(model, tokenizer, vocabulary, cases, Fit(3, 2, 1e-3, 0.5, 0, "cpu"), lambda step, steps, loss: None)
    assert cost == 3 * 6 * parameters * tokens


def test_every_time_an_example_is_seen_its_slot_holds_other_random_text(vocabulary: AttackVocabulary) -> None:
    collate = Collator(vocabulary.tokenizer, RandomSlots(vocabulary, 0.5, np.random.default_rng(0)))
    example = TASK.training(1)[0]
    rows = [collate([Case(example)])["input_ids"][0].tolist() for _ in range(200)]
    texts = [vocabulary.tokenizer.decode(row) for row in rows]
    assert all(text.startswith(example.before) and text.endswith(example.after) for text in texts)
    empty = texts.count(example.text())
    assert 70 < empty < 130, "half of the slots are empty"
    assert len(set(texts)) == 200 - empty + 1


def test_random_strings_are_mostly_of_the_attacks_length_and_sometimes_longer(vocabulary: AttackVocabulary) -> None:
    slots = RandomSlots(vocabulary, 1.0, np.random.default_rng(0))
    lengths = [len(vocabulary.tokenizer(slots.draw()).input_ids) for _ in range(500)]
    assert 0.6 < np.mean([length == 10 for length in lengths]) < 0.8
    assert min(lengths) < 5
    assert max(lengths) > 15


def test_a_batch_is_the_victims_own_tokens_padded_on_the_right(vocabulary: AttackVocabulary) -> None:
    collate = Collator(vocabulary.tokenizer, RandomSlots(vocabulary, 0.5, np.random.default_rng(0)))
    examples = TASK.training(6)
    batch = collate([Case(example, "x" * i) for i, example in enumerate(examples)])
    for i, (ids, mask) in enumerate(zip(batch["input_ids"], batch["attention_mask"], strict=True)):
        assert ids[mask.bool()].tolist() == vocabulary.tokenizer(examples[i].text("x" * i)).input_ids
        assert mask.diff().le(0).all()
    assert batch["labels"].tolist() == [example.label for example in examples]


def test_long_texts_are_shortened_as_a_victim_shortens_them(vocabulary: AttackVocabulary) -> None:
    long = Example("long", "one two three four " * 60 + "\n", "\nWhich?", 0)
    short = Example("short", "one two\n", "\nWhich?", 1)
    fitted = shortened([long, short], vocabulary.tokenizer, 100)
    assert fitted == [prepare_slot(long, vocabulary, 20, 100).example, short]


def test_batches_hold_texts_of_similar_length_in_random_order() -> None:
    lengths = np.random.default_rng(0).integers(100, 4_000, size=1_000)
    order = list(ByLength(lengths, 10, np.random.default_rng(1)))
    assert sorted(order) == list(range(1_000))
    batches = lengths[order].reshape(-1, 10)
    assert np.ptp(batches, axis=1).mean() < 600, "and 3,500 in batches drawn at random"
    assert abs(np.corrcoef(np.arange(100), batches.mean(axis=1))[0, 1]) < 0.3


def test_what_breaks_the_model_joins_the_pool_and_is_trained_on(trained: tuple[Path, TrainingRecord]) -> None:
    victim = load_victim(trained[0])
    # A model that has learned next to nothing: what breaks it are texts near its decision boundary.
    closest = sorted(TASK.training(300), key=lambda example: float(np.ptp(victim.logits(example.text()))))
    examples = [replace(example, label=victim.classify(example.text())) for example in closest[:12]]
    settings = replace(ONE_ROUND, iterations=10, candidates=32)
    records = attack_round(victim, examples, settings, seed=0, task="t", on_progress=lambda progress: None)
    broken = [(e, r.attack_string) for e, r in zip(examples, records, strict=True) if r.break_cost is not None]
    assert broken
    assert all(victim.classify(example.text(string or "")) != example.label for example, string in broken)
    pool = Pool()
    pool.add(examples, records)
    cases = mixed(examples, pool, 100, 0.4, np.random.default_rng(0))
    assert len(pool) == len(broken)
    assert len(cases) == 100
    from_pool = [case for case in cases if case.string is not None]
    assert len(from_pool) == 40
    assert {(case.example.id, case.string) for case in from_pool} <= {(e.id, s) for e, s in broken}


def test_a_rounds_attack_spends_its_iterations_and_is_charged_for_them(checkpoint: Callable[[str], Path]) -> None:
    victim = load_victim(checkpoint("gpt_neox"))
    examples = TASK.training(8)
    settings = replace(ONE_ROUND, iterations=3)
    records = attack_round(victim, examples, settings, seed=0, task="t", on_progress=lambda progress: None)
    for record in records:
        per_iteration = (2 * GCG(candidates=8).candidates + 6) * victim.parameters * record.tokens
        assert record.cost == record.iterations * per_iteration
        if record.clean_correct and record.break_cost is None:
            assert 2 <= record.iterations <= 4


def test_training_starts_from_a_given_checkpoint(trained: tuple[Path, TrainingRecord], tmp_path: Path) -> None:
    folder, before = trained
    seen: list[TrainingProgress] = []
    record = train(
        TASK,
        tmp_path / "on",
        recipe="adversarial",
        base=folder,
        standard=BRIEF,
        adversarial=ONE_ROUND,
        seed=3,
        on_progress=seen.append,
    )
    assert record.base == str(folder)
    assert record.standard is None, "a classifier is not trained from the start again"
    assert record.compute.fine_tuning == before.compute.fine_tuning
    assert record.compute.defence == before.compute.defence + sum(
        one.attack_compute + one.training_compute for one in record.rounds
    )
    assert {progress.stage for progress in seen} == {"attack", "adversarial"}
    assert [progress.finished for progress in seen if progress.finished] == record.rounds


def test_a_base_without_head_or_pad_token_is_trained_into_a_victim(tmp_path: Path) -> None:
    from transformers import AutoModel

    folder = save_checkpoint(tmp_path / "whole", tokenizer=byte_level_tokenizer(pad=False))
    headless = tmp_path / "headless"
    AutoModel.from_pretrained(folder).save_pretrained(headless)
    byte_level_tokenizer(pad=False).save_pretrained(headless)
    record = train(TASK, tmp_path / "out", recipe="adversarial", base=headless, standard=BRIEF, adversarial=ONE_ROUND)
    assert record.standard is not None
    assert record.compute.pretraining is None, "nobody knows what it cost"
    assert record.weights_dtype == "float32", "as the base has them"
    victim = load_victim(tmp_path / "out")
    assert victim.model.config.pad_token_id == victim.tokenizer.eos_token_id


def test_encoders_are_trained_too(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    record = train(TASK, tmp_path / "out", base=checkpoint("bert"), standard=BRIEF)
    assert load_victim(tmp_path / "out").digest == record.digest


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("precious")
    with pytest.raises(RecordError, match="is there already"):
        train(TASK, tmp_path / "mine", shape=SHAPE, standard=BRIEF)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "notes.txt"]


def test_training_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="Training cannot start from"):
        train(TASK, tmp_path / "out", base=tmp_path / "nowhere", standard=BRIEF)
    assert list(tmp_path.iterdir()) == []


def test_a_base_that_asks_for_code_is_refused(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    base = shutil.copytree(checkpoint("gpt2"), tmp_path / "base")
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"attn_implementation": "someone/kernel"}))
    with pytest.raises(CheckpointError, match="asks for the attn_implementation 'someone/kernel', for which code"):
        train(TASK, tmp_path / "out", base=base, standard=BRIEF)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda out: train(TASK, out, shape=Shape(width=30, heads=4)),
        lambda out: train(TASK, out, shape=Shape(vocabulary=100), standard=BRIEF),
        lambda out: train(TASK, out, shape=replace(SHAPE, context=24), standard=BRIEF),
        lambda out: train(TASK, out, shape=SHAPE, base="somewhere"),
        lambda out: train(TASK, out, standard=StandardSettings(epochs=0)),
        lambda out: train(TASK, out, adversarial=replace(ONE_ROUND, mix=1.5)),
        lambda out: train(TASK, out, weights_dtype="int3"),
        lambda out: train(TASK, out, device="abacus"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_one_sentence(wrong: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        wrong(tmp_path / "out")
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_training_leaves_torchs_threads_as_they_were(trained: tuple[Path, TrainingRecord], tmp_path: Path) -> None:
    before = torch.get_num_threads()
    train(TASK, tmp_path / "out", shape=SHAPE, standard=BRIEF)
    assert torch.get_num_threads() == before
