"""An ensemble is attacked in expectation, judged by what most draws of a member answer, and charged for every one."""

import numpy as np
import pytest
import torch
from plain import plain_gradient
from victims import as_language_model, save_checkpoint, word_piece_tokenizer

from holdfast.benchmark import GCG, RandomToken, Settings, attack_examples, load_victim, score
from holdfast.benchmark.engine import margins
from holdfast.benchmark.ensemble import Ensemble
from holdfast.benchmark.flags import BATCH_DEPENDENT, NON_DETERMINISTIC
from holdfast.benchmark.pass_base import Unit
from holdfast.benchmark.passes import full_text, passes_for
from holdfast.benchmark.slot import prepare_slot, survivors
from holdfast.submissions.checkpoints import checkpoint_folder
from holdfast.submissions.replay import Replayer
from holdfast.submissions.traces import read_trace
from holdfast.submissions.victim_file import load_model, read_victim_file
from holdfast.tasks import CheckpointError, RecordError, get_task

NAMES = ("undefended", "adversarial", "wide-undefended")
TASK = get_task("password-match")
EVALUATION = TASK.evaluation()
EXAMPLES = EVALUATION.examples[:8]
BUDGET = 8e9
SMALL_GCG = GCG(candidates=24, top_k=32)


@pytest.fixture(scope="module")
def members():
    return [load_victim(checkpoint_folder(f"password-match-{name}"), device="cpu") for name in NAMES]


@pytest.fixture(scope="module")
def ensemble(members):
    return Ensemble.of(members, "three.yaml")


def surviving(victim, count):
    slots = [prepare_slot(example, victim.vocabulary, 10, victim.context) for example in EXAMPLES[:3]]
    drawn = [victim.vocabulary.draw(np.random.default_rng(0), 40, 10) for _ in slots]
    checked = survivors(victim.vocabulary, list(zip(slots, drawn, strict=True)))
    return [(slot, rows[alive][:count]) for slot, rows, (alive, _) in zip(slots, drawn, checked, strict=True)]


@pytest.mark.parametrize("kind", [passes_for, full_text])
@pytest.mark.parametrize("count", [2, 3])
def test_the_margin_of_a_candidate_is_that_of_the_member_that_decides(members, kind, count):
    """Of two members the better one, and of three the second best."""
    ensemble = Ensemble.of(members[:count], "some.yaml")
    passes = kind(ensemble)
    chosen = surviving(ensemble, 4)
    logits = passes.logits([Unit(passes.prepare(slot), rows) for slot, rows in chosen])
    for (slot, rows), ours in zip(chosen, logits.numpy(), strict=True):
        label = slot.example.label
        texts = [slot.example.text(text) for text in ensemble.vocabulary.write(rows)]
        answers = np.array([[member.logits(text) for text in texts] for member in members[:count]])
        decides = np.sort(margins(answers, label), axis=0)[1]
        np.testing.assert_allclose(margins(ours, label), decides, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(ours.mean(axis=1), answers.mean(axis=(0, 2)), rtol=1e-4, atol=1e-4)
        verdicts = [ensemble.verdict(text, label, attacked=True) for text in texts]
        np.testing.assert_allclose(ours, verdicts, rtol=1e-4, atol=1e-4)
    assert passes.executed > 0


def test_the_gradient_is_the_mean_of_the_members_gradients(ensemble, members):
    passes = passes_for(ensemble)
    chosen = surviving(ensemble, 1)
    gradients = passes.slot_gradient([Unit(passes.prepare(slot), rows) for slot, rows in chosen])
    for (slot, rows), ours in zip(chosen, gradients, strict=True):
        expected = torch.stack([plain_gradient(member, slot, rows[0]) for member in members]).mean(dim=0)
        assert expected.abs().max() > 0
        torch.testing.assert_close(ours, expected, atol=1e-4 * float(expected.abs().max()), rtol=1e-3)


@pytest.mark.parametrize("count", [2, 3])
def test_a_verdict_needs_more_than_half_of_the_members(members, count):
    """Half of them wrong do not break an example, and half of them right do not make a clean text right."""
    ensemble = Ensemble.of(members[:count], "some.yaml")
    strings = ensemble.vocabulary.write(ensemble.vocabulary.draw(np.random.default_rng(0), 60, 10))
    wrongs = set()
    for number, string in enumerate(strings):
        text = EXAMPLES[number % 8].text(string)
        answers = [member.classify(text) for member in members[:count]]
        for label in (0, 1):
            wrong = sum(answer != label for answer in answers)
            wrongs.add(wrong)
            attacked = ensemble.verdict(text, label, attacked=True)
            clean = ensemble.verdict(text, label, attacked=False)
            assert (int(attacked.argmax()) == label) == (2 * wrong <= count)
            assert (int(clean.argmax()) == label) == (2 * wrong < count)
            if 2 * wrong == count:
                means = np.mean([member.logits(text) for member in members[:count]], axis=0)
                assert ensemble.classify(text) == int(means.argmax())
            else:
                assert (ensemble.classify(text) == label) == (2 * wrong < count)
    assert wrongs == set(range(count + 1)), "members disagree on some texts, or this test says nothing"


@pytest.mark.parametrize("attack", [RandomToken(), SMALL_GCG], ids=lambda attack: attack.name)
def test_every_record_is_the_verdict_and_charged_for_every_member(ensemble, members, attack):
    assert ensemble.parameters == sum(member.parameters for member in members)
    records = attack_examples(ensemble, EXAMPLES, attack, budget=BUDGET)
    passes = 2 * attack.candidates + (6 if attack.uses_gradient else 0)
    assert any(record.break_cost for record in records)
    for example, record in zip(EXAMPLES, records, strict=True):
        assert record.clean_correct == (ensemble.classify(example.text()) == example.label)
        assert record.cost == record.iterations * passes * ensemble.parameters * record.tokens
        if record.attack_string is not None:
            text = example.text(record.attack_string)
            wrong = sum(member.classify(text) != example.label for member in members)
            assert (2 * wrong > len(members)) == (record.break_cost is not None)
            verdict = ensemble.verdict(text, example.label, attacked=True)
            np.testing.assert_array_equal(record.attack_logits, verdict)


@pytest.mark.parametrize("attack", [RandomToken(), SMALL_GCG], ids=lambda attack: attack.name)
def test_records_do_not_depend_on_the_batch_size(ensemble, attack):
    reference = attack_examples(ensemble, EXAMPLES[:4], attack, budget=BUDGET / 2)
    assert attack_examples(ensemble, EXAMPLES[:4], attack, budget=BUDGET / 2, batch_size=7) == reference


def test_a_result_says_that_it_is_an_ensemble_and_can_be_replayed(ensemble, members, tmp_path):
    result = score(ensemble, EVALUATION, RandomToken(), Settings("custom", 8, BUDGET), tmp_path)
    assert (result.victim.kind, result.victim.architecture) == ("ensemble", "gpt_neox")
    assert result.victim.parameters == ensemble.parameters
    assert not {BATCH_DEPENDENT, NON_DETERMINISTIC} & set(result.flags)
    rows = read_trace((tmp_path / "traces/password-match/random_token-suffix.parquet").read_bytes())
    problems, replay = Replayer(Ensemble.of(members, "elsewhere.yaml"), EVALUATION).replay(result, rows)
    assert problems == []
    assert replay.broken == result.summary.broken > 0


def test_other_members_are_another_ensemble(members):
    digests = {Ensemble.of(chosen, "e").digest for chosen in (members, members[:2], members[1:], members[::-1])}
    assert len(digests) == 4


def test_a_member_that_is_named_twice_is_run_and_charged_once(members):
    twice = Ensemble.of([members[0], members[0], members[1]], "e")
    assert twice.parameters == members[0].parameters + members[1].parameters
    assert twice.digest != Ensemble.of(members[:2], "e").digest


def test_language_models_can_be_members(members, tmp_path):
    folder = as_language_model(members[0].folder, tmp_path, TASK.labels)
    mixed = Ensemble.of([load_victim(folder, device="cpu"), members[1]], "mixed").for_labels(TASK.labels)
    reference = Ensemble.of(members[:2], "plain")
    for example in EXAMPLES:
        np.testing.assert_allclose(mixed.logits(example.text()), reference.logits(example.text()), rtol=1e-4, atol=1e-4)


def test_members_with_different_tokenizers_are_refused(members, tmp_path):
    other = load_victim(save_checkpoint(tmp_path, "llama", word_piece_tokenizer()), device="cpu")
    with pytest.raises(CheckpointError, match=r"has another tokenizer than .*; the members of an ensemble must share"):
        Ensemble.of([members[0], other], "e")


def test_a_victim_file_names_its_members_from_its_own_folder(tmp_path, members):
    (tmp_path / "first").symlink_to(members[0].folder)
    (tmp_path / "victim.yaml").write_text(f"kind: ensemble\nmembers:\n  - first\n  - {members[1].folder}\n")
    loaded = load_model(tmp_path / "victim.yaml", device="cpu")
    assert loaded.digest == Ensemble.of(members[:2], "e").digest
    assert load_model(members[0].folder, device="cpu").digest == members[0].digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: ensemble\nmembers: [a]\n", r"victim.yaml:2: members: list should have at least 2 items"),
        ("kind: ensemble\n", r"victim.yaml:1: members: this field is required and is missing"),
        ("kind: committee\nmembers: [a, b]\n", r"victim.yaml:1: kind: input should be 'ensemble'"),
        ("kind: ensemble\nmembers: [a, 7]\n", r"victim.yaml:2: members.1: this must be text"),
        ("kind: ensemble\nmembers: [a, b]\nweights: [1, 2]\n", r"victim.yaml:3: weights: there is no such field here"),
        ("kind: [\n", r"victim.yaml:2: this is not YAML"),
        ("- a\n- b\n", r"victim.yaml:1: "),
    ],
)
def test_what_is_wrong_with_a_victim_file_is_said_with_its_line(tmp_path, text, said):
    (tmp_path / "victim.yaml").write_text(text)
    with pytest.raises(RecordError, match=said):
        read_victim_file(tmp_path / "victim.yaml")


def test_a_member_that_is_not_there_is_named(tmp_path, members):
    (tmp_path / "victim.yaml").write_text(f"kind: ensemble\nmembers:\n  - {members[0].folder}\n  - gone\n")
    with pytest.raises(CheckpointError, match=r"A member of .*victim\.yaml cannot be used: .*'gone'"):
        load_model(tmp_path / "victim.yaml", device="cpu")


def test_a_folder_in_the_working_directory_is_not_taken_for_one_beside_the_file(tmp_path, members, monkeypatch):
    (tmp_path / "files").mkdir()
    (tmp_path / "here").symlink_to(members[0].folder)
    (tmp_path / "files" / "victim.yaml").write_text(f"kind: ensemble\nmembers:\n  - here\n  - {members[1].folder}\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="names here, and there is no such folder beside that file"):
        load_model(tmp_path / "files" / "victim.yaml", device="cpu")
