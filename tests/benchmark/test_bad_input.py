"""What goes wrong is said in one sentence, of the right kind, and nothing that was finished is lost."""

import json
import shutil
import sys
import weakref
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from victims import save_checkpoint

from holdfast.benchmark import (
    GCG,
    OFFICIAL_ATTACKS,
    Engine,
    RandomToken,
    Settings,
    attack_examples,
    attack_names,
    get_attack,
    load_victim,
    parse_budget,
    score,
)
from holdfast.benchmark.plan import plan
from holdfast.benchmark.position import POSITIONS
from holdfast.tasks import (
    CheckpointError,
    DataError,
    HoldfastError,
    RecordError,
    ResourceError,
    UsageError,
    get_task,
)

EVALUATION = get_task("password-match").evaluation()
EXAMPLES = EVALUATION.examples
SETTINGS = Settings("custom", examples=4, budget=3e9)
RESULT = "results/password-match/random_token-suffix.json"
RECORDS = "records/password-match/random_token-suffix.jsonl"


@pytest.fixture
def victim(checkpoint):
    """It holds for its whole budget where it is right at all, so that a run has several rounds."""
    return load_victim(checkpoint("gpt_neox"), device="cpu")


@pytest.fixture
def undisturbed(victim, tmp_path):
    return score(victim, EVALUATION, RandomToken(), SETTINGS, tmp_path / "undisturbed").score()


def one_sentence(error: HoldfastError, code: int) -> bool:
    """One line that ends one sentence, with the documented exit code."""
    return "\n" not in str(error) and str(error).endswith(".") and error.exit_code == code


# Memory


class LittleMemory:
    """A victim's model runs out of memory, as a card does, whenever a batch has more than `rows` sequences."""

    def __init__(self, victim, rows):
        self.rows = rows
        self.refused = 0
        self.handle = victim.model.base_model.register_forward_pre_hook(self, with_kwargs=True)

    def __call__(self, module, args: Sequence, inputs: dict) -> None:
        given = next(each for each in (*args, inputs.get("input_ids"), inputs.get("inputs_embeds")) if each is not None)
        if len(given) > self.rows:
            self.refused += 1
            raise torch.OutOfMemoryError(f"{len(given)} sequences do not fit")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.handle.remove()


@pytest.mark.parametrize("attack", [RandomToken(), GCG(candidates=24, top_k=32)], ids=lambda attack: attack.name)
@pytest.mark.parametrize("rows", [1, 5, 7])
def test_a_lack_of_memory_halves_the_batch_and_changes_no_record(victim, attack, rows):
    expected = attack_examples(victim, EXAMPLES[:4], attack, budget=2e9, batch_size=64)
    with LittleMemory(victim, rows) as memory:
        assert attack_examples(victim, EXAMPLES[:4], attack, budget=2e9, batch_size=64) == expected
    assert memory.refused


@pytest.mark.parametrize("architecture", ["llama", "bert"])
def test_a_single_sequence_that_does_not_fit_is_refused(checkpoint, architecture):
    victim = load_victim(checkpoint(architecture), device="cpu")
    with LittleMemory(victim, 0), pytest.raises(ResourceError, match="out of memory on cpu with a single") as caught:
        attack_examples(victim, EXAMPLES[:4], RandomToken(), budget=2e9)
    assert one_sentence(caught.value, 6)


class Crowded(Engine):
    """Runs out of memory in one of its parts, while it holds the prefixes of more than `most` examples."""

    def __init__(self, victim, attack, *, budget, position, part, most):
        super().__init__(victim, attack, budget=budget, position=position)
        self.alive: list[weakref.ref] = []
        self.refused = 0
        self.most = most
        self.scorer.prepare = self.remembered(self.scorer.prepare)
        owner, name = {
            "prefixes": (self.scorer, "prepare"),
            "gradients": (self.passes, "slot_gradient"),
            "scores": (self.scorer, "logits"),
        }[part]
        setattr(owner, name, self.limited(getattr(owner, name)))

    def remembered(self, prepare):
        def remember(slot):
            self.alive.append(weakref.ref(ready := prepare(slot)))
            return ready

        return remember

    def limited(self, run):
        def limit(*arguments):
            if sum(each() is not None for each in self.alive) > self.most:
                self.refused += 1
                raise torch.OutOfMemoryError("no room beside the prefixes")
            return run(*arguments)

        return limit


def crowded(victim, examples, part, most, position="suffix"):
    """The engine after a run that ended with the records of an undisturbed one, and the batch size it began with."""
    attack = GCG(candidates=24, top_k=32)
    expected = attack_examples(victim, examples, attack, budget=5e8, position=position)
    engine = Crowded(victim, attack, budget=5e8, position=position, part=part, most=most)
    rows = engine.batch.rows
    found = {record.example_id: record for record in engine.run(examples)}
    assert [found[example.id] for example in examples] == expected
    return engine, rows


def test_as_many_examples_are_attacked_at_once_as_their_prefixes_fit(victim):
    """Memory holds what belongs to three of them."""
    engine, rows = crowded(victim, EXAMPLES, "prefixes", 2)
    assert engine.refused == 1, "it asks no more often"
    assert engine.batch.rows >= rows, "smaller batches would not have helped"


@pytest.mark.parametrize("part", ["gradients", "scores"])
def test_where_prefixes_leave_no_room_for_work_fewer_examples_are_attacked_at_once(victim, part):
    """Memory holds what belongs to all of them, and beside three no more of what is computed."""
    engine, rows = crowded(victim, EXAMPLES[:24], part, 3)
    assert engine.refused
    assert engine.batch.rows == rows, "the batches that fit before do so again"


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("cut", [False, True])
def test_an_example_that_has_to_wait_begins_again_as_it_was_given(victim, position, cut):
    """Memory holds one at a time, so that of all others nothing may stay behind; some are too long for the victim."""
    examples = [replace(example, label=victim.classify(example.text())) for example in EXAMPLES[:6]]
    lengths = sorted(len(victim.tokenizer(example.text())["input_ids"]) for example in examples)
    short = replace(victim, context=lengths[2] + 12) if cut else victim
    engine, _ = crowded(short, examples, "gradients", 1, position)
    assert engine.refused


def test_a_plan_is_made_with_batches_that_fit(victim):
    asked = Settings("custom", 4, 5e8)
    with LittleMemory(victim, 20) as memory:
        made = plan(victim, EVALUATION, GCG(candidates=24, top_k=32), asked)
    assert memory.refused
    assert made.seconds > 0
    with LittleMemory(victim, 0), pytest.raises(ResourceError, match="with a single sequence"):
        plan(victim, EVALUATION, RandomToken(), asked)


def test_running_out_of_memory_loses_nothing_that_was_finished(victim, undisturbed, tmp_path):
    """The model breaks down in the middle of a run; the same call then goes on."""
    out = tmp_path / "out"
    with LittleMemory(victim, 10**9) as memory:

        def after_two(now):
            memory.rows = 0 if now.done >= 2 else memory.rows

        with pytest.raises(ResourceError):
            score(victim, EVALUATION, RandomToken(), SETTINGS, out, batch_size=1, on_progress=after_two)
    assert len((out / RECORDS).read_text().splitlines()) >= 3
    assert score(victim, EVALUATION, RandomToken(), SETTINGS, out).score() == undisturbed


# Disk


def test_a_full_disk_loses_nothing_and_the_run_goes_on_when_there_is_space(victim, undisturbed, tmp_path, largest_file):
    """Whatever file it is that does not fit: records, trace or result."""
    for limit in range(0, 5000, 450):
        out = tmp_path / str(limit)
        try:
            with largest_file(limit):
                score(victim, EVALUATION, RandomToken(), SETTINGS, out)
        except ResourceError as error:
            problem = error
        else:
            assert limit > 3000, "the limit was no limit"
            continue
        assert one_sentence(problem, 6)
        assert "The disk is full" in str(problem)
        assert not (out / RESULT).exists()
        assert score(victim, EVALUATION, RandomToken(), SETTINGS, out).score() == undisturbed, limit


def test_a_results_folder_that_cannot_be_made_is_refused(victim, tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(RecordError, match=r"cannot be written .*; choose another --out\.") as caught:
            score(victim, EVALUATION, RandomToken(), SETTINGS, out)
        assert one_sentence(caught.value, 5)


# Results and records


@pytest.fixture
def interrupted(victim, tmp_path):
    """A results folder with a run that was killed after two examples, in the middle of writing the third."""
    out = tmp_path / "interrupted"

    rounds = []

    def kill(now):
        if rounds and rounds[-1].done >= 2:
            raise KeyboardInterrupt
        rounds.append(now)

    with pytest.raises(KeyboardInterrupt):
        score(victim, EVALUATION, RandomToken(), SETTINGS, out, on_progress=kill)
    lines = (out / RECORDS).read_bytes().splitlines(keepends=True)
    assert len(lines) == 3
    (out / RECORDS).write_bytes(b"".join(lines) + lines[-1][:50])
    return out


def test_half_a_last_line_is_dropped_and_the_run_ends_as_if_undisturbed(victim, undisturbed, interrupted):
    assert score(victim, EVALUATION, RandomToken(), SETTINGS, interrupted).score() == undisturbed


def test_a_bit_flipped_in_the_records_is_found_before_anything_is_attacked(victim, interrupted):
    content = bytearray((interrupted / RECORDS).read_bytes())
    at = content.index(b'"cost": ') + len(b'"cost": ')
    content[at] ^= 1
    (interrupted / RECORDS).write_bytes(content)
    with pytest.raises(RecordError, match=r"is corrupt at line 2 \(its checksum is wrong\); delete the file") as caught:
        score(victim, EVALUATION, RandomToken(), SETTINGS, interrupted)
    assert one_sentence(caught.value, 5)
    assert content.startswith((interrupted / RECORDS).read_bytes()), "left as it was, but for the half line"


@pytest.mark.parametrize(
    ("change", "said"), [({"seed": 1}, "seed"), ({"budget": 4e9}, "budget"), ({"examples": 5}, "examples")]
)
def test_the_records_and_the_result_of_another_run_are_refused(victim, interrupted, change, said):
    other = replace(SETTINGS, **change)
    with pytest.raises(RecordError, match=f"belongs to another run, with {said} ") as caught:
        score(victim, EVALUATION, RandomToken(), other, interrupted)
    assert one_sentence(caught.value, 5)
    result = score(victim, EVALUATION, RandomToken(), SETTINGS, interrupted)
    with pytest.raises(RecordError, match=f"is the result of another run, with another {said}; choose") as caught:
        score(victim, EVALUATION, RandomToken(), other, interrupted)
    assert one_sentence(caught.value, 5)
    assert score(victim, EVALUATION, RandomToken(), SETTINGS, interrupted) == result, "and it is still there"


def test_the_results_of_another_victim_are_refused(victim, checkpoint, interrupted):
    with pytest.raises(RecordError, match="belongs to another run, with victim digest "):
        score(load_victim(checkpoint("gpt2")), EVALUATION, RandomToken(), SETTINGS, interrupted)


def test_the_same_victim_in_another_folder_may_go_on(victim, undisturbed, interrupted, tmp_path):
    moved = load_victim(shutil.copytree(victim.folder, tmp_path / "moved"))
    again = json.loads(score(moved, EVALUATION, RandomToken(), SETTINGS, interrupted).score())
    assert again["records"] == json.loads(undisturbed)["records"]


# Data


def test_other_data_are_refused_unless_accepted_and_then_recorded(victim, tmp_path):
    other = replace(EVALUATION, pinned="f" * 64)
    with pytest.raises(DataError, match=r"not the official one, ffffffffffff, .*add --accept-other-data\.") as caught:
        score(victim, other, RandomToken(), SETTINGS, tmp_path)
    assert caught.value.exit_code == 4
    assert not list(tmp_path.iterdir()), "nothing was written"
    result = score(victim, other, RandomToken(), SETTINGS, tmp_path, accept_other_data=True)
    assert (result.flags, result.task.official, result.task.digest) == (["other-data"], False, EVALUATION.digest)


def test_more_examples_than_there_are_is_refused(victim, tmp_path):
    with pytest.raises(UsageError, match="has 500 examples; ask for at most so many, not 501") as caught:
        score(victim, EVALUATION, RandomToken(), replace(SETTINGS, examples=501), tmp_path)
    assert one_sentence(caught.value, 2)


# Checkpoints


def save(folder, tokenizer):
    return load_victim(save_checkpoint(folder, "llama", tokenizer), device="cpu")


def word_level(*words, lower=False):
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["<unk>", *words])}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if lower:
        tokenizer.normalizer = normalizers.Lowercase()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<unk>")


def test_an_empty_attack_vocabulary_is_refused(tmp_path):
    victim = save(tmp_path, word_level("ABC", "DEF", "GHI", lower=True))
    with pytest.raises(CheckpointError, match="is empty: none of its 3 ordinary tokens") as caught:
        attack_examples(victim, EXAMPLES[:1], RandomToken(), budget=1e9)
    assert one_sentence(caught.value, 3)


def test_a_vocabulary_with_nothing_to_choose_from_is_refused(tmp_path):
    victim = save(tmp_path, word_level("abc", "DEF", "GHI", lower=True))
    with pytest.raises(CheckpointError, match=r"has a single token, ' ?abc', so") as caught:
        attack_examples(victim, EXAMPLES[:1], GCG(), budget=1e9)
    assert one_sentence(caught.value, 3)


def test_a_vocabulary_of_two_tokens_is_enough(tmp_path):
    victim = save(tmp_path, word_level("abc", "def"))
    assert len(attack_examples(victim, EXAMPLES[:2], GCG(), budget=1e9)) == 2


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_logits_that_are_not_numbers_are_refused(checkpoint, tmp_path, dtype):
    folder = shutil.copytree(checkpoint("llama"), tmp_path / "v")
    weights = load_file(folder / "model.safetensors")
    weights["score.weight"][0, 0] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    victim = load_victim(folder, device="cpu", dtype=dtype)
    with pytest.raises(CheckpointError, match=r"gives non-finite logits \(nan, .* without any attack") as caught:
        attack_examples(victim, EXAMPLES[:1], RandomToken(), budget=1e9)
    assert one_sentence(caught.value, 3)


def test_a_tokenizer_of_another_model_is_refused(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint("llama"), tmp_path / "v")
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"] = weights["model.embed_tokens.weight"][:40].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text()) | {"vocab_size": 40, "pad_token_id": 0}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="has only 40 tokens; they do not belong together") as caught:
        attack_examples(load_victim(folder, device="cpu"), EXAMPLES[:1], RandomToken(), budget=1e9)
    assert one_sentence(caught.value, 3)


# Budgets and attacks


def test_a_budget_below_one_iteration_attacks_nothing_and_is_no_error(victim):
    records = attack_examples(victim, EXAMPLES[:4], GCG(), budget=parse_budget("1FLOP"))
    assert {(record.iterations, record.cost, record.break_cost) for record in records} == {(0, 0, None)}


@pytest.fixture
def third_party(tmp_path, monkeypatch):
    """An installed package of somebody else's that announces attacks."""

    def install(entry_points: str, module: str) -> None:
        info = tmp_path / "somebodys_attacks-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys-attacks\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[holdfast.attacks]\n{entry_points}\n")
        (tmp_path / "somebodys_attacks.py").write_text(module)
        monkeypatch.syspath_prepend(tmp_path)

    yield install
    sys.modules.pop("somebodys_attacks", None)


@pytest.mark.parametrize(("typed", "meant"), [("gcq", "gcg"), ("random-token", "random_token"), ("GCG", "gcg")])
def test_an_unknown_attack_is_answered_with_the_nearest_one(typed, meant):
    with pytest.raises(UsageError, match=f"There is no attack '{typed}' .did you mean '{meant}'") as caught:
        get_attack(typed)
    assert one_sentence(caught.value, 2)


THEIR_ATTACK = """
from dataclasses import dataclass
from holdfast.benchmark import RandomToken

@dataclass(frozen=True)
class Mine(RandomToken):
    name = "mine"
"""


@pytest.mark.parametrize("name", ["mine-too", "Mine", "mine.v2", "m\u00efne"])
def test_an_attack_whose_name_no_entry_could_hold_is_refused_when_it_is_loaded(third_party, name):
    third_party(f"{name} = somebodys_attacks:Mine", THEIR_ATTACK.replace('"mine"', repr(name)))
    with pytest.raises(UsageError, match="has a name that no entry could hold; attacks are called by small") as caught:
        get_attack(name)
    assert one_sentence(caught.value, 2)


def test_somebody_elses_attack_is_found_and_runs(third_party, victim):
    third_party("mine = somebodys_attacks:Mine", THEIR_ATTACK)
    others = {"beast_lm", "gcg_plus", "mine"} - set(OFFICIAL_ATTACKS)
    assert attack_names() == [*OFFICIAL_ATTACKS, *sorted(others)]
    assert len(attack_examples(victim, EXAMPLES[:2], get_attack("mine"), budget=1e9)) == 2


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("import a_module_that_is_not_there", "cannot be loaded .ModuleNotFoundError"),
        ("1 / 0", "cannot be loaded .ZeroDivisionError"),
        ("", "cannot be loaded .AttributeError"),
        ("Mine = 42", "which it is not"),
        ("class Mine: pass", "which it is not"),
        (THEIR_ATTACK.replace('"mine"', '"other"'), "which it is not"),
        (THEIR_ATTACK + "    def __init__(self, needed): pass", "which it is not"),
    ],
)
def test_somebody_elses_broken_attack_is_named_with_its_package(third_party, module, said):
    third_party("mine = somebodys_attacks:Mine", module)
    with pytest.raises(UsageError, match=rf"package somebodys-attacks .*{said}.*; update or uninstall") as caught:
        get_attack("mine")
    assert one_sentence(caught.value, 2)
    assert get_attack("gcg").name == "gcg"
