"""Candidates per CPU second of nanoGCG's own code and of ours, on one checkpoint and the same prompts, in one thread.

    python docs/experiments/peers.py --nanogcg CHECKOUT --python OTHER/bin/python --tokenizer FOLDER

A causal language model of the shape of Pythia-14m with random weights; strings of 10 tokens before "\\nAnswer:"; 128
candidates an iteration, top-k 256, in float32. nanoGCG looks for the answer " yes" and ours for the label word " yes".

CHECKOUT is a clone of github.com/GraySwanAI/nanoGCG. Its prefix cache needs transformers below 4.47, ours needs 5, so
its code runs in another interpreter: OTHER is a virtual environment with torch, transformers==4.45.2 and scipy. Results
are printed, and kept in peers.json beside this file.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ITERATIONS = 8
LENGTHS = (60, 300)
STRING = "x x x x x x x x x x"


def theirs(checkout: str, model: str, tokenizer: str, prompts: dict[str, str]) -> None:
    """Run nanoGCG, in its interpreter, and print a JSON object per prompt."""
    sys.path.insert(0, checkout)
    import torch
    from nanogcg.gcg import GCG, GCGConfig  # type: ignore[import-not-found]
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
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
        GCG(loaded, words, config).run(prompt.replace("{", "").replace("}", "") + "{optim_str}\nAnswer:", " yes")
        rate = scored / (time.process_time() - started)
        print(json.dumps({"what": "nanoGCG", "tokens": int(length), "candidates_per_second": round(rate, 1)}))


def ours(victim: Any, length: int) -> dict[str, Any]:
    """Run ours on eight prompts of that length."""
    from holdfast.benchmark import get_attack
    from holdfast.benchmark.budget import cost_of_iteration
    from holdfast.benchmark.engine import Engine
    from holdfast.benchmark.stand_in import prompts
    from holdfast.tasks import Example

    examples = [
        Example(each.id, each.before, each.after, victim.classify(each.text())) for each in prompts(victim, length, 8)
    ]
    tokens = max(victim.token_ids(each.text()).shape[1] for each in examples) + 11
    attack = get_attack("gcg")
    budget = ITERATIONS * cost_of_iteration(victim.parameters, tokens, attack.candidates, gradient=True)
    engine = Engine(victim, attack, budget=budget)
    started = time.process_time()
    list(engine.run(examples))
    rate = engine.candidates / (time.process_time() - started)
    return {"what": "Holdfast", "tokens": length, "candidates_per_second": round(rate, 1)}


def compare(asked: argparse.Namespace) -> None:
    """Run both, one after the other, and write down what they did."""
    import torch
    from transformers import AutoTokenizer, GPTNeoXForCausalLM

    from holdfast.benchmark import load_victim
    from holdfast.benchmark.machine import device_name, software_versions
    from holdfast.benchmark.model_shape import get_shape
    from holdfast.benchmark.stand_in import config_of, prompts

    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        GPTNeoXForCausalLM(config_of(get_shape("14m"))).save_pretrained(folder)
        AutoTokenizer.from_pretrained(asked.tokenizer).save_pretrained(folder)
        victim = load_victim(folder, device="cpu").for_labels(("no", "yes"))
        texts = {str(length): prompts(victim, length, 1)[0].before for length in LENGTHS}
        call = [str(asked.python), __file__, "--theirs", str(asked.nanogcg), folder, str(asked.tokenizer)]
        call.append(json.dumps(texts))
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(call, capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            sys.exit(f"nanoGCG did not run: {done.stderr.strip().splitlines()[-1]}")
        found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        found += [ours(victim, length) for length in LENGTHS]
    for each in found:
        print(f"{each['tokens']:4} tokens  {each['candidates_per_second']:8,.1f}  {each['what']}")
    report = {"device": device_name(victim.device), "versions": software_versions(), "measured": found}
    Path(__file__).with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nanogcg", type=Path, required=True, help="a clone of nanoGCG")
    parser.add_argument("--python", type=Path, required=True, help="the interpreter that it runs in")
    parser.add_argument("--tokenizer", type=Path, required=True, help="the folder of Pythia's tokenizer")
    compare(parser.parse_args())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--theirs"]:
        theirs(*sys.argv[2:5], json.loads(sys.argv[5]))
    else:
        main()
