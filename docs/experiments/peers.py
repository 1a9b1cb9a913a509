"""Candidates per CPU second of other people's own code and of ours: the same checkpoints and prompts, in one thread.

    python docs/experiments/peers.py --paper CHECKOUT --nanogcg CHECKOUT --python OTHER/bin/python --tokenizer FOLDER
    python docs/experiments/peers.py --table                          # writes the results into docs/performance.md

Two checkpoints of the shape of Pythia-14m with random weights: a classifier for the code of arXiv 2407.18213, a causal
language model for nanoGCG, which attacks nothing else: it looks for the answer " yes", ours for the label word " yes".
GCG with 128 candidates an iteration, top-k 256 and strings of 10 tokens, against victims that hold. All take turns of a
few seconds, so that whatever slows the machine down slows all; the median of the turns counts, and how many times as
fast ours is by the median of what each turn says. The code of arXiv 2407.18213 is given the batch size at which it is
fastest in each turn; what is done once for an example, or a run, is left out for all.

The checkouts are clones of github.com/AlignmentResearch/scaling-llm-robustness-paper and github.com/GraySwanAI/nanoGCG.
Both need an older transformers, so they run in another interpreter: OTHER is a virtual environment with the same torch,
transformers==4.46.2, and what the first one imports: accelerate<1.2, datasets<4, evaluate, hydra-core, wandb, conllu,
openai, gitpython, tdigest, semver, and detoxify without its dependencies. Results are kept in peers.json.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

ITERATIONS = 16
ROWS = 512
"""Sequences in our batches: what is found, where it is looked for."""
WARM = 2
"""Iterations of ours before the clock starts."""
UNLIMITED = 1e30
"""FLOP per example that no measurement spends."""
LENGTHS = (60, 300)
TURNS = 6
BATCH_SIZES = (16, 64)
STRING = "x x x x x x x x x x"
END = "\nAnswer:"
PAPER, NANOGCG = "arXiv 2407.18213", "nanoGCG"
OUTPUT = Path(__file__).with_suffix(".json")


def papers(checkout: str, model: str, tokenizer: str, prompts: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Run the code of arXiv 2407.18213, in its interpreter."""
    # It reads the state of its own git repository.
    os.chdir(checkout)
    sys.path.insert(0, checkout)
    from accelerate import Accelerator
    from robust_llm.attacks.search_based.runners.gcg_runner import GCGRunner  # type: ignore[import-not-found]
    from robust_llm.attacks.search_based.utils import PreppedExample  # type: ignore[import-not-found]
    from robust_llm.config.callback_configs import CallbackConfig  # type: ignore[import-not-found]
    from robust_llm.models.caching_wrapped_model import (  # type: ignore[import-not-found]
        get_caching_model_with_example,
    )
    from robust_llm.models.model_utils import InferenceType  # type: ignore[import-not-found]
    from robust_llm.models.prompt_templates import PromptTemplate  # type: ignore[import-not-found]
    from robust_llm.models.supported_models.gpt_neox_wrapped import GPTNeoXModel  # type: ignore[import-not-found]
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    scored = 0

    class Counting(GCGRunner):
        def _apply_replacements_and_eval_candidates(self, text_replacement_pairs: Any) -> Any:
            nonlocal scored
            scored += len(text_replacement_pairs)
            return super()._apply_replacements_and_eval_candidates(text_replacement_pairs)

    words = AutoTokenizer.from_pretrained(tokenizer, padding_side="right", model_max_length=2048)
    words.pad_token = words.eos_token
    for batch_size in BATCH_SIZES:
        loaded: Any = AutoModelForSequenceClassification.from_pretrained(model, use_cache=False)
        victim = GPTNeoXModel(
            loaded, words, Accelerator(cpu=True), InferenceType.CLASSIFICATION, batch_size, batch_size, "pythia"
        )
        for length, prompt in prompts.items():
            template = PromptTemplate(prompt, END)
            with get_caching_model_with_example(victim, template.build_prompt()) as cached:
                runner = Counting(
                    cached,
                    n_candidates_per_it=128,
                    n_its=ITERATIONS,
                    n_attack_tokens=10,
                    scores_from_text_callback=CallbackConfig("losses_from_text", "tensor"),
                    prepped_examples=[PreppedExample(template, clf_label=1, gen_target="")],
                    differentiable_embeds_callback=CallbackConfig("losses_from_embeds", "tensor"),
                )
                scored, started = 0, time.process_time()
                runner.run()
                rate = scored / (time.process_time() - started)
            yield {"what": PAPER, "tokens": int(length), "batch_size": batch_size, "candidates_per_second": rate}


def nanogcgs(checkout: str, model: str, tokenizer: str, prompts: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Run nanoGCG, in its interpreter."""
    sys.path.insert(0, checkout)
    from nanogcg.gcg import GCG, GCGConfig  # type: ignore[import-not-found]
    from transformers import AutoModelForCausalLM, AutoTokenizer

    loaded: Any = AutoModelForCausalLM.from_pretrained(model)
    words = AutoTokenizer.from_pretrained(tokenizer)
    scored = 0
    original = GCG._compute_candidates_loss_original

    def counted(self: Any, search_batch_size: int, input_embeds: Any) -> Any:
        nonlocal scored
        scored += len(input_embeds)
        return original(self, search_batch_size, input_embeds)

    GCG._compute_candidates_loss_original = counted
    for length, prompt in prompts.items():
        config = GCGConfig(
            num_steps=ITERATIONS, optim_str_init=STRING, search_width=128, topk=256, seed=0, verbosity="ERROR"
        )
        scored, started = 0, time.process_time()
        GCG(loaded, words, config).run(prompt.replace("{", "").replace("}", "") + "{optim_str}" + END, " yes")
        rate = scored / (time.process_time() - started)
        yield {"what": NANOGCG, "tokens": int(length), "candidates_per_second": rate}


THEIRS = {"papers": papers, "nanogcgs": nanogcgs}


def ours(victim: Any, length: int, *, look_over: bool) -> float:
    """Candidates per CPU second of ours, on as many prompts of that length as are attacked together."""
    from holdfast.benchmark import get_attack
    from holdfast.benchmark.engine import LANES, Engine
    from holdfast.benchmark.stand_in import prompts
    from holdfast.tasks import Example

    examples = [
        Example(each.id, each.before, each.after, victim.classify(each.text()))
        for each in prompts(victim, length, LANES)
    ]
    engine = Engine(victim, get_attack("gcg"), budget=UNLIMITED, look_over=look_over, batch_size=ROWS)
    rounds = engine.rounds(examples)
    for _ in range(WARM):
        next(rounds, None)
    scored, started = engine.candidates, time.process_time()
    for _ in range(ITERATIONS // 4):
        if next(rounds, None) is None:
            break
    return (engine.candidates - scored) / (time.process_time() - started)


def compare(asked: argparse.Namespace) -> None:
    """Run all in turns, and write down what they did."""
    import torch
    from transformers import AutoTokenizer, GPTNeoXForCausalLM

    from holdfast.benchmark import load_victim
    from holdfast.benchmark.machine import device_name, software_versions
    from holdfast.benchmark.model_shape import get_shape
    from holdfast.benchmark.screening import has_bfloat16
    from holdfast.benchmark.stand_in import config_of, load_shape, prompts, save_shape

    torch.set_num_threads(1)
    torch.manual_seed(0)
    measured: dict[tuple[str, str, int], list[float]] = {}
    with (
        tempfile.TemporaryDirectory() as raw,
        tempfile.TemporaryDirectory() as one,
        tempfile.TemporaryDirectory() as two,
    ):
        classifier = load_shape(save_shape("14m", asked.tokenizer, Path(raw)), "cpu", None)
        classifier.model.save_pretrained(one)
        GPTNeoXForCausalLM(config_of(get_shape("14m"))).save_pretrained(two)
        AutoTokenizer.from_pretrained(asked.tokenizer).save_pretrained(two)
        language_model = load_victim(two, device="cpu").for_labels(("no", "yes"))
        texts = {str(length): prompts(classifier, length, 1)[0].before for length in LENGTHS}
        pairs = [
            (PAPER, "papers", asked.paper, one, classifier),
            (NANOGCG, "nanogcgs", asked.nanogcg, two, language_model),
        ]
        for turn in range(TURNS):
            # nanoGCG is so much slower that one turn says enough.
            for peer, kind, checkout, folder, victim in pairs[: 1 if turn else None]:
                best: dict[int, float] = {}
                for each in their_rates(asked, kind, checkout, folder, texts):
                    best[each["tokens"]] = max(best.get(each["tokens"], 0.0), each["candidates_per_second"])
                for length in LENGTHS:
                    found = {peer: best[length], "float32": ours(victim, length, look_over=False)}
                    if has_bfloat16():
                        found["looked over in bfloat16"] = ours(victim, length, look_over=True)
                    for what, rate in found.items():
                        measured.setdefault((peer, what, length), []).append(rate)
                        print(f"{length:4} tokens  {rate:8,.1f}  {what}, beside {peer}", flush=True)
    report = {
        "device": device_name(classifier.device),
        "versions": software_versions(),
        "measured": [
            {
                "beside": peer,
                "what": what,
                "tokens": length,
                "candidates_per_second": [round(rate, 1) for rate in rates],
            }
            for (peer, what, length), rates in measured.items()
        ],
    }
    OUTPUT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def their_rates(
    asked: argparse.Namespace, kind: str, checkout: Path, folder: str, texts: dict[str, str]
) -> list[dict[str, Any]]:
    call = [str(asked.python), __file__, f"--{kind}", str(checkout.resolve()), folder, str(asked.tokenizer.resolve())]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled"}
    done = subprocess.run(
        [*call, json.dumps(texts)], capture_output=True, text=True, env=environment, check=False, cwd=folder
    )
    if done.returncode:
        sys.exit(f"{kind} did not run: {done.stderr.strip().splitlines()[-1]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"what"')]


def table(report: dict[str, Any]) -> Iterator[str]:
    """Markdown: per peer its rate and ours, at each length, by the median of the turns."""
    rates = {
        (each["beside"], each["what"], each["tokens"]): each["candidates_per_second"] for each in report["measured"]
    }
    yield "| candidates per CPU second | " + " | ".join(f"{length} tokens" for length in LENGTHS) + " |"
    yield "|---|" + "---:|" * len(LENGTHS)
    for peer, what, _ in dict.fromkeys((peer, what, 0) for peer, what, _ in rates):
        cells = []
        for length in LENGTHS:
            turns, theirs = rates[peer, what, length], rates[peer, peer, length]
            times = median(rate / other for rate, other in zip(turns, theirs, strict=True))
            cells.append(f"{median(turns):,.0f}" + ("" if what == peer else f" ({times:.1f} times)"))
        name = f"the code of {peer}" if what == peer else f"Holdfast on the same, {what}"
        yield f"| {name} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--paper", type=Path, help="a clone of the code of arXiv 2407.18213")
    parser.add_argument("--nanogcg", type=Path, help="a clone of nanoGCG")
    parser.add_argument("--python", type=Path, help="the interpreter that they run in")
    parser.add_argument("--tokenizer", type=Path, help="the folder of Pythia's tokenizer")
    parser.add_argument("--table", action="store_true", help="write the results into docs/performance.md")
    asked = parser.parse_args()
    if not asked.table:
        if not (asked.paper and asked.nanogcg and asked.python and asked.tokenizer):
            parser.error("--paper, --nanogcg, --python and --tokenizer are needed, or --table alone.")
        compare(asked)
        return
    from pages import write_tables

    lines = table(json.loads(OUTPUT.read_text(encoding="utf-8")))
    page = Path(__file__).resolve().parents[1] / "performance.md"
    write_tables(page, {"Beside others": "".join(f"{line}\n" for line in lines)})


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1].removeprefix("--") in THEIRS:
        import torch

        torch.set_num_threads(1)
        for line in THEIRS[sys.argv[1].removeprefix("--")](*sys.argv[2:5], json.loads(sys.argv[5])):
            print(json.dumps(line), flush=True)
    else:
        main()
