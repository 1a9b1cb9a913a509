"""Bad input is answered with one sentence on standard error and a documented exit code, and never with a traceback."""

import json
import resource
import shutil
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file, save_file
from victims import byte_level_tokenizer, save_checkpoint

from holdfast.benchmark.records import locked

USAGE, CHECKPOINT, DATA, RECORD, RESOURCE = 2, 3, 4, 5, 6
FEW = ("--task", "password-match", "--examples", "4", "--budget", "3e9FLOP", "--device", "cpu")


def edit(file, **changes):
    def change(folder):
        content = json.loads((folder / file).read_text()) | changes
        (folder / file).write_text(json.dumps(content))

    return change


def write(file, content):
    return lambda folder: (folder / file).write_bytes(content)


def remove(*files):
    return lambda folder: [(folder / file).unlink() for file in files]


def cut(file, by):
    return lambda folder: (folder / file).write_bytes((folder / file).read_bytes()[:-by])


def sharded(index):
    def change(folder):
        (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    return change


def weights(change):
    def rewrite(folder):
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return rewrite


TWO_SHARDS = {"metadata": {}, "weight_map": {f"{n}": f"model-0000{n}-of-00002.safetensors" for n in (1, 2)}}
THREE_LABELS = {"id2label": {"0": "a", "1": "b", "2": "c"}, "label2id": {"a": 0, "b": 1, "c": 2}}

BAD_CHECKPOINTS = {
    "no config": (remove("config.json"), "has no config.json"),
    "half a config": (cut("config.json", 50), "does not describe a model that transformers knows"),
    "a config that is a list": (write("config.json", b"[]"), "does not describe a model that transformers knows"),
    "a config of nothing known": (
        edit("config.json", model_type="none"),
        "does not describe a model that transformers",
    ),
    "a config with a word for a number": (edit("config.json", hidden_size="big"), "contradicts itself"),
    "a config that cannot be": (edit("config.json", num_attention_heads=5), "contradicts itself"),
    "a config of another size": (edit("config.json", hidden_size=64), "are not those that its config.json describes"),
    "a config that has another read in its place": (
        edit("config.json", configuration_files=["config.1.0.0.json"]),
        "has the field configuration_files, which has other files read in its place",
    ),
    "a config that names other weights": (
        edit("config.json", transformers_weights="more/model.safetensors"),
        "has the field transformers_weights, which has other files read in its place",
    ),
    "a quantized model": (
        edit("config.json", quantization_config={"quant_method": "fp8"}),
        "asks for quantization, which cannot be judged in float32",
    ),
    "a config that asks for a kernel": (
        edit("config.json", attn_implementation="someone/kernel"),
        "for which code would be fetched from the Hub",
    ),
    "an adapter beside the weights": (write("adapter_config.json", b"{}"), "has an adapter beside its weights"),
    "weights cut short": (cut("model.safetensors", 1000), "are damaged or half downloaded"),
    "empty weights": (write("model.safetensors", b""), "are damaged or half downloaded"),
    "a pointer for weights": (write("model.safetensors", b"version https://git-lfs"), "are damaged or half downloaded"),
    "a web page for weights": (write("model.safetensors", b"<html>" * 99), "are damaged or half downloaded"),
    "no weights": (remove("model.safetensors"), "has no model.safetensors"),
    "a missing shard": (sharded(TWO_SHARDS), "is half downloaded: 1 of 2 weight files are missing, the first of them"),
    "a shard elsewhere": (sharded({"weight_map": {"a": "more/model.safetensors"}}), "outside its folder"),
    "an index of nothing": (sharded({}), "is not a readable index of weight files"),
    "an index that is a list": (sharded([]), "is not a readable index of weight files"),
    "an index of numbers": (sharded({"weight_map": {"a": 1}}), "is not a readable index of weight files"),
    "no head": (weights(lambda all_: all_.pop("score.weight")), "is not a whole classifier: 1 weights are missing"),
    "weights that are no numbers": (
        weights(lambda all_: all_["score.weight"].fill_(float("nan"))),
        "non-finite logits",
    ),
    "three labels": (edit("config.json", **THREE_LABELS), "has 3 labels; Holdfast's tasks are binary"),
    "no tokenizer": (remove("tokenizer.json", "tokenizer_config.json"), "has no tokenizer; save a tokenizer.json"),
    "a config for a tokenizer": (remove("tokenizer.json"), "has no tokenizer; save a tokenizer.json"),
    "half a tokenizer": (cut("tokenizer.json", 500), "The tokenizer of"),
    "an empty tokenizer": (write("tokenizer.json", b"{}"), "The tokenizer of"),
    "half a tokenizer config": (cut("tokenizer_config.json", 30), "The tokenizer of"),
    "no fast tokenizer": (edit("tokenizer_config.json", tokenizer_class="ByT5Tokenizer"), "has no fast tokenizer"),
    "a short context": (
        edit("config.json", max_position_embeddings=16),
        "context of 16 tokens is too short for example",
    ),
}


@pytest.mark.parametrize("name", BAD_CHECKPOINTS)
def test_a_bad_checkpoint_is_refused_with_one_sentence(holdfast, checkpoint, tmp_path, name):
    change, said = BAD_CHECKPOINTS[name]
    folder = shutil.copytree(checkpoint(), tmp_path / "victim")
    change(folder)
    outcome = holdfast("score", folder, *FEW, "--out", tmp_path / "out")
    assert said in outcome.sentence
    assert str(folder) in outcome.sentence or "example password-match-" in outcome.sentence
    assert outcome.code == CHECKPOINT
    assert not list(tmp_path.glob("out/results/**/*.json"))


class Opened:
    """What a pickle can do: this one would leave a file behind."""

    def __init__(self, trap):
        self.trap = trap

    def __reduce__(self):
        return open, (self.trap, "w")


def test_a_pickle_only_checkpoint_is_refused_and_not_opened(holdfast, checkpoint, tmp_path):
    import pickle

    folder = shutil.copytree(checkpoint(), tmp_path / "victim")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Opened(str(tmp_path / "trap"))))
    outcome = holdfast("score", folder, *FEW, "--out", tmp_path / "out")
    assert "has its weights only as a pickle (pytorch_model.bin), which could run code" in outcome.sentence
    assert outcome.code == CHECKPOINT
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize(("model_type", "code"), [("their_own", CHECKPOINT), ("gpt_neox", 0)])
def test_code_from_a_checkpoint_is_never_run(holdfast, checkpoint, tmp_path, model_type, code):
    folder = shutil.copytree(checkpoint(), tmp_path / "victim")
    classes = {"AutoConfig": "theirs.C", "AutoModelForSequenceClassification": "theirs.M"}
    edit("config.json", model_type=model_type, auto_map=classes)(folder)
    edit("tokenizer_config.json", auto_map={"AutoTokenizer": ["theirs.T", "theirs.T"]})(folder)
    (folder / "theirs.py").write_text(f"open({str(tmp_path / 'trap')!r}, 'w')\n")
    outcome = holdfast("score", folder, *FEW, "--out", tmp_path / "out")
    assert outcome.code == code
    if code:
        assert "without running the checkpoint's own code" in outcome.sentence
    assert not (tmp_path / "trap").exists()


def test_a_tokenizer_without_a_pad_token_works(holdfast, tmp_path):
    folder = save_checkpoint(tmp_path / "victim", "gpt_neox", byte_level_tokenizer(pad=False))
    assert holdfast("score", folder, *FEW, "--out", tmp_path / "out").code == 0


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("no-such-folder", "no checkpoint folder 'no-such-folder', and it is not a Hub id like owner/name@commit"),
        ("/no/such/folder", "There is no checkpoint folder '/no/such/folder'"),
        ("./no/folder", "There is no checkpoint folder './no/folder'"),
        ("somebody/something", "somebody/something is not in the local Hub cache and the Hub cannot be reached"),
        ("somebody/something@0123456789", "something@0123456789 is not in the local Hub cache and the Hub cannot be"),
        ("some body/some thing", "There is neither a folder nor a Hub model 'some body/some thing'"),
        (__file__, "is a file; give the folder that holds config.json and the weights"),
        ("", "There is no checkpoint folder ''"),
    ],
)
def test_a_checkpoint_that_is_not_there_is_refused(holdfast, tmp_path, model, said):
    outcome = holdfast("score", model, *FEW, "--out", tmp_path / "out")
    assert said in outcome.sentence
    assert outcome.code == CHECKPOINT
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--task", "imbd"],
            "There is no task 'imbd' (did you mean 'imdb'?); the tasks are password",
        ),
        (["--attack", "gcq"], "There is no attack 'gcq' (did you mean 'gcg'?); the attacks are random_token, gcg"),
        (["--profile", "huge"], "There is no profile 'huge'; choose one of quick, lite, standard, full."),
        (["--budget", "soon"], "The budget 'soon' is not a positive amount of GPU time or FLOP; write it like 10ms"),
        (["--budget", ""], "The budget '' is not a positive amount of GPU time or FLOP"),
        (["--budget", "-1ms"], "The budget '-1ms' is not a positive amount"),
        (["--examples", "0"], "The number of examples must be at least 1, not 0."),
        (["--examples", "-3"], "The number of examples must be at least 1, not -3."),
        (["--examples", "501"], "The task password-match has 500 examples; ask for at most so many, not 501."),
        (["--seed", "-1"], "The seed must not be negative; it is -1."),
        (["--device", "banana"], "The device 'banana' cannot be used here"),
        (["--device", "cuda:99"], "The device 'cuda:99' cannot be used here"),
        (["--device", "meta"], "The device 'meta' cannot be used here"),
        (["--device", ""], "The device '' cannot be used here"),
        (["--dtype", "int8"], "There is no dtype 'int8'; choose one of float32, bfloat16, float16."),
    ],
)
def test_an_argument_that_cannot_be_is_refused(holdfast, checkpoint, tmp_path, arguments, said):
    outcome = holdfast("score", checkpoint(), *FEW, *arguments, "--out", tmp_path / "out")
    assert said in outcome.sentence
    assert outcome.code == USAGE
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments", [["--no-such-option"], ["--examples", "many"], ["--batch-size", "0"], ["--seed", "1.5"], ["extra"]]
)
def test_what_the_parser_refuses_has_the_same_exit_code(holdfast, checkpoint, tmp_path, arguments):
    outcome = holdfast("score", checkpoint(), *FEW, *arguments, "--out", tmp_path / "out")
    assert outcome.code == USAGE
    assert "Error" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_task_is_required(holdfast, checkpoint):
    outcome = holdfast("score", checkpoint())
    assert (outcome.code, outcome.out) == (USAGE, "")
    assert "--task" in outcome.err


# Data


@pytest.fixture
def other_imdb(tmp_path):
    """A mirror with reviews that are not IMDB's."""
    folder = tmp_path / "mirror/datasets/stanfordnlp/imdb/plain_text"
    folder.mkdir(parents=True)
    rows = [
        {"text": f"film number {number}, {'good' if number % 2 else 'bad'}", "label": number % 2}
        for number in range(20)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "test-00000-of-00001.parquet")
    return tmp_path / "mirror"


IMDB = ("--task", "imdb", "--examples", "4", "--budget", "2e9FLOP", "--attack", "random_token", "--device", "cpu")


def test_a_data_set_that_is_not_there_is_refused(holdfast, checkpoint, tmp_path):
    outcome = holdfast("score", checkpoint(), *IMDB)
    assert "neither in the Hugging Face cache nor could it be fetched (HF_HUB_OFFLINE is set)" in outcome.sentence
    assert outcome.code == DATA
    outcome = holdfast("score", checkpoint(), *IMDB, "--mirror", tmp_path / "none")
    assert "is not a folder; correct the path" in outcome.sentence
    assert outcome.code == DATA


def test_a_mirror_that_lacks_a_file_is_refused(holdfast, checkpoint, other_imdb):
    (file,) = other_imdb.rglob("*.parquet")
    file.unlink()
    outcome = holdfast("score", checkpoint(), *IMDB, "--mirror", other_imdb)
    assert "has no datasets/stanfordnlp/imdb/plain_text/test-*.parquet" in outcome.sentence
    assert outcome.code == DATA


def test_a_damaged_file_of_a_mirror_is_refused(holdfast, checkpoint, other_imdb):
    (file,) = other_imdb.rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:-20])
    outcome = holdfast("score", checkpoint(), *IMDB, "--mirror", other_imdb)
    # The reader's library logs the reason on a line before.
    assert "test-00000-of-00001.parquet cannot be read" in outcome.err.splitlines()[-1]
    assert "Traceback" not in outcome.err
    assert outcome.code == DATA


def test_other_data_are_refused_until_they_are_accepted_and_then_recorded(holdfast, checkpoint, other_imdb, tmp_path):
    arguments = ("score", checkpoint(), *IMDB, "--mirror", other_imdb, "--out", tmp_path / "out")
    outcome = holdfast(*arguments)
    assert "is not the official one, dabcb09e02ed" in outcome.sentence
    assert outcome.sentence.endswith("add --accept-other-data.")
    assert outcome.code == DATA
    assert not (tmp_path / "out").exists()
    outcome = holdfast(*arguments, "--accept-other-data", "--json")
    assert outcome.code == 0
    assert "is not the official one" in outcome.err
    (result,) = json.loads(outcome.out)
    assert (result["flags"], result["task"]["official"]) == (["other-data"], False)
    assert "other-data" in holdfast("show", tmp_path / "out").out


# Results


RECORDS = "records/password-match/random_token-suffix.jsonl"


def test_corrupt_records_are_refused_and_half_a_line_is_not_corrupt(holdfast, checkpoint, tmp_path):
    out = tmp_path / "out"
    arguments = ("score", checkpoint(), *FEW, "--out", out)
    (out / RECORDS).parent.mkdir(parents=True)
    (out / RECORDS).write_bytes(b"garbage\n")
    outcome = holdfast(*arguments)
    assert f"{out / RECORDS} is corrupt at line 1" in outcome.sentence
    assert outcome.code == RECORD
    (out / RECORDS).write_bytes(b'{"check": "8a')
    assert holdfast(*arguments).code == 0


def test_the_folder_of_another_run_is_refused(holdfast, checkpoint, tmp_path):
    arguments = ("score", checkpoint(), *FEW, "--out", tmp_path / "out")
    assert holdfast(*arguments).code == 0
    for change in (("--seed", "1"), ("--budget", "4e9FLOP"), ("--examples", "5"), ("--dtype", "bfloat16")):
        outcome = holdfast(*arguments, *change)
        assert (
            f"is the result of another run, with another {change[0].strip('-')}; choose another --out"
            in outcome.sentence
        )
        assert outcome.code == RECORD
    outcome = holdfast("score", checkpoint("gpt2"), *FEW, "--out", tmp_path / "out")
    assert "with another victim digest" in outcome.sentence
    assert outcome.code == RECORD


def test_a_folder_that_another_run_writes_to_is_refused(holdfast, checkpoint, tmp_path):
    with locked(tmp_path / "out"):
        outcome = holdfast("score", checkpoint(), *FEW, "--out", tmp_path / "out")
    assert f"Another run is writing to {tmp_path / 'out'}; wait until it has finished" in outcome.sentence
    assert outcome.code == RECORD


@pytest.mark.parametrize("out", ["file", "file/below", "/proc/no-such-folder", "/dev/full", "x" * 300])
def test_an_out_that_cannot_be_written_is_refused(holdfast, checkpoint, tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    outcome = holdfast("score", checkpoint(), *FEW, "--out", out)
    assert "cannot be written" in outcome.sentence
    assert outcome.sentence.endswith("choose another --out.")
    assert outcome.code == RECORD


def test_show_refuses_what_is_no_result(holdfast, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "half.json").write_text('{"schema_version": 1')
    (tmp_path / "future.json").write_text('{"schema_version": 2}')
    for name, said in (
        ("empty", "There are no results in"),
        ("none.json", "There is no result at"),
        ("half.json", "is not a valid result: the whole file"),
        ("future.json", "is not a valid result: schema_version"),
    ):
        outcome = holdfast("show", tmp_path / name)
        assert said in outcome.sentence
        assert outcome.code == RECORD


# Extensions


def test_a_broken_package_of_somebody_elses_is_named_and_hides_nothing(holdfast, checkpoint, tmp_path, monkeypatch):
    info = tmp_path / "somebodys_things-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys-things\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[holdfast.attacks]\nx = no_such:X\n[holdfast.tasks]\nx = no_such:x\n")
    monkeypatch.syspath_prepend(tmp_path)
    for arguments in ((*FEW, "--attack", "x"), ("--task", "x")):
        outcome = holdfast("score", checkpoint(), *arguments)
        assert "of the package somebodys-things cannot be loaded (ModuleNotFoundError" in outcome.sentence
        assert outcome.code == USAGE
    for command, kept in ((("attacks",), "gcg"), (("tasks", "list"), "harmless")):
        outcome = holdfast(*command)
        assert outcome.code == 0
        assert kept in outcome.out
        assert "of the package somebodys-things cannot be loaded" in outcome.err


# In a process of its own: nothing else, from any library, reaches the terminal


@pytest.mark.parametrize("name", ["weights cut short", "a config of another size", "half a tokenizer"])
def test_a_process_says_one_sentence_and_nothing_else(holdfast_process, checkpoint, tmp_path, name):
    change, said = BAD_CHECKPOINTS[name]
    folder = shutil.copytree(checkpoint(), tmp_path / "victim")
    change(folder)
    outcome = holdfast_process("score", folder, *FEW)
    assert said in outcome.sentence
    assert outcome.code == CHECKPOINT


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_a_disk_that_fills_up_loses_nothing_and_the_same_command_goes_on(
    holdfast_process, holdfast, checkpoint, tmp_path
):
    arguments = ("score", checkpoint(), *FEW, "--out", tmp_path / "out")
    full = holdfast_process(*arguments, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1800, 1800)))
    assert "The disk is full at" in full.sentence
    assert "free some space and run the same command again" in full.sentence
    assert full.code == RESOURCE
    assert (tmp_path / "out" / RECORDS).stat().st_size > 500, "what was finished is there"
    assert holdfast(*arguments).code == 0
    assert holdfast("score", checkpoint(), *FEW, "--out", tmp_path / "undisturbed").code == 0
    for attack in ("random_token", "gcg"):
        name = f"results/password-match/{attack}-suffix.json"
        resumed, undisturbed = (json.loads((tmp_path / each / name).read_text()) for each in ("out", "undisturbed"))
        assert resumed | {"run": None} == undisturbed | {"run": None}


def test_an_output_that_is_full_is_said(holdfast_process):
    with Path("/dev/full").open("w") as full:
        outcome = holdfast_process("tasks", "list", stdout=full)
    assert "The disk is full" in outcome.sentence
    assert outcome.code == RESOURCE
