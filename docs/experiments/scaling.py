"""What the full suite takes in time and money, from 14m to 70b parameters on 1 to 64 cards: the tables of a page.

    python docs/experiments/scaling.py                 writes the tables into docs/scaling.md
    python docs/experiments/scaling.py --rates FILE --price 3.10 --print
                                                       prints them for a card that throughput.py measured
    python docs/experiments/scaling.py --count DIR     counts again what scaling.json holds; DIR mirrors the Hub

scaling.json holds the lengths of the official examples by Pythia's tokenizer, and what the baselines of the registry
spent of their budgets before they broke. Rates are those of throughput-cpu.json, with a card's matrix rate assumed.
"""

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

from pages import write_tables

from holdfast.benchmark import OFFICIAL_ATTACKS, PROFILES, Profile, get_attack, read_result
from holdfast.benchmark.forecast import Text, Work, cards_for, forecast, work_of
from holdfast.benchmark.model_shape import SHAPES, ModelShape
from holdfast.benchmark.rates import Rates, read_rates
from holdfast.leaderboard.quantities import duration
from holdfast.tasks import OFFICIAL_TASKS, HoldfastError, get_task

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "scaling.md"
INPUTS = HERE / "scaling.json"
MEASURED = HERE / "throughput-cpu.json"
ENTRIES = HERE.parents[1] / "submissions" / "entries"
BASELINES = {"none": "holdfast-*-undefended", "adversarial training": "holdfast-*-adversarial"}
"""Entries of the registry, by their defence."""
CARD = {"share": 0.4, "matrix_rate": 1e15, "float32_rate": 6e13, "memory": 80e9}
"""What is assumed of a card that nobody measured: in the first two, the GPU-second of the project's budgets."""
SHARES = (0.1, 0.2, 0.4, 0.6)
MODELS = ("14m", "70m", "410m", "1b", "2.8b", "6.9b", "12b", "70b")
CARDS = (1, 2, 4, 8, 16, 32, 64)
CHOSEN = ("lite", "standard", "full")
EXAMPLE_PRICE = 2.0
"""Of an hour of a card, in no currency: an example."""


@dataclass(frozen=True)
class Inputs:
    """texts: the official examples, by task, in their order. spent: share of the budgets at `lite`, by defence."""

    texts: dict[str, list[Text]]
    spent: dict[str, float]


def read_inputs() -> Inputs:
    found = json.loads(INPUTS.read_text(encoding="utf-8"))
    texts = {task: [Text(*pair) for pair in pairs] for task, pairs in found["texts"].items()}
    return Inputs(texts, found["spent"])


def count_texts(task: str, mirror: Path, examples: int) -> list[Text]:
    """Tokens of a task's first examples, with a string, by Pythia's tokenizer and in its context."""
    from transformers import AutoTokenizer

    from holdfast.benchmark.slot import prepare_slot
    from holdfast.benchmark.vocabulary import attack_vocabulary

    tokenizer = AutoTokenizer.from_pretrained(mirror / "models" / "EleutherAI" / "pythia-14m")
    vocabulary = attack_vocabulary(tokenizer, SHAPES["14m"].vocabulary)
    length = get_attack(OFFICIAL_ATTACKS[0]).length
    slots = (
        prepare_slot(example, vocabulary, length, 2048)
        for example in get_task(task).evaluation(mirror=mirror).examples[:examples]
    )
    return [Text(len(slot.prefix), slot.tokens - len(slot.prefix)) for slot in slots]


def count_spent() -> dict[str, float]:
    """What the baselines spent of what `lite` allows, in the mean over their results by the official attacks."""
    spent, budget = {}, PROFILES["lite"].budget
    for defence, pattern in BASELINES.items():
        results = [read_result(path) for path in sorted(ENTRIES.glob(f"{pattern}/results/*/*-suffix.json"))]
        spent[defence] = mean(
            sum(min(record.cost, budget) for record in result.records) / (result.summary.examples * budget)
            for result in results
            if result.profile in ("lite", "standard") and result.attack.name in OFFICIAL_ATTACKS
        )
    return {defence: round(share, 3) for defence, share in spent.items()}


def count(mirror: Path) -> None:
    """Write scaling.json."""
    texts = {task: count_texts(task, mirror, PROFILES["full"].examples) for task in OFFICIAL_TASKS}
    content: dict[str, Any] = {
        "spent": count_spent(),
        "texts": {task: [[text.prefix, text.tail] for text in found] for task, found in texts.items()},
    }
    INPUTS.write_text(json.dumps(content).replace(', "', ',\n"') + "\n", encoding="utf-8")


def assumed_card(cpu: Rates) -> Rates:
    """A card that nobody measured: with what is outside the model as it was on a CPU."""
    return cpu.assuming("an assumed card", **CARD)


def suite(shape: ModelShape, profile: Profile, inputs: Inputs) -> list[Work]:
    """All five tasks, by every official attack."""
    return [
        work_of(shape, get_attack(attack), texts[: profile.examples], profile.budget)
        for texts in inputs.texts.values()
        for attack in OFFICIAL_ATTACKS
    ]


def tables(inputs: Inputs, cpu: Rates, card: Rates, price: float) -> dict[str, str]:
    """Markdown tables by the heading that each stands under."""
    every = {name: {each: suite(SHAPES[name], PROFILES[each], inputs) for each in CHOSEN} for name in MODELS}
    fewest = {name: cards_for(SHAPES[name], card) for name in MODELS}

    def time(name: str, profile: str, cards: int, rates: Rates = card, spent: float = 1.0) -> str:
        seconds = forecast(every[name][profile], rates, cards, spent)
        return "–" if seconds is None else duration(seconds)

    def money(name: str, profile: str, cards: int) -> str:
        seconds = forecast(every[name][profile], card, cards)
        return "–" if seconds is None else f"{cards * seconds / 3600 * price:,.2f}"

    found = {"What there is to do": _table(("model", "parameters", *_WORK), _work(every, cpu))}
    for profile in CHOSEN:
        found[f"Time: {profile}"] = _table(
            ("model", "1 card", *(f"{cards} cards" for cards in CARDS[1:])),
            ([name, *(time(name, profile, cards) for cards in CARDS)] for name in MODELS),
        )
    found["Money"] = _table(
        ("model", "fewest cards", *CHOSEN, *(f"{profile}, {CARDS[-1]} cards" for profile in CHOSEN)),
        (
            [name, f"{fewest[name]}", *(money(name, each, n) for n in (fewest[name], CARDS[-1]) for each in CHOSEN)]
            for name in MODELS
        ),
    )
    found["Another share of the matrix rate"] = _table(
        ("model", *(f"{share:.0%}" for share in SHARES)),
        ([name, *(time(name, "standard", 8, replace(card, share=share)) for share in SHARES)] for name in MODELS),
    )
    found["What breaks takes less"] = _table(
        ("model", "nothing breaks", *(f"{defence}: {share:.0%} spent" for defence, share in inputs.spent.items())),
        (
            [name, *(time(name, "standard", 8, spent=share) for share in (1.0, *inputs.spent.values()))]
            for name in MODELS
        ),
    )
    timed = {point.parameters for point in cpu.points}
    found["One core, as measured"] = _table(
        ("model", *CHOSEN),
        ([name, *(time(name, each, 1, cpu) for each in CHOSEN)] for name in MODELS if SHAPES[name].parameters in timed),
    )
    return found


_WORK = ("iterations of GCG: lite", "standard", "full", "executed")


def _work(every: dict[str, dict[str, list[Work]]], rates: Rates) -> Iterator[list[str]]:
    """Per model: iterations that fit, from the task with the longest texts to that with the shortest; the share that is
    executed of what is charged.
    """
    gcg = get_attack("gcg")
    for name, by_profile in every.items():
        cells = [name, f"{SHAPES[name].parameters:,}"]
        for works in by_profile.values():
            fit = [work.candidates / gcg.candidates / work.examples for work in works if work.attack == gcg.name]
            cells.append(f"{_count(min(fit))} to {_count(max(fit))}" if max(fit) else "none")
        full = by_profile["full"]
        executed = sum(work.executed(rates) for work in full)
        cells.append(f"{executed / sum(work.canonical for work in full):.1%}")
        yield cells


def _count(mean: float) -> str:
    return f"{mean:,.0f}" if mean >= 10 else f"{mean:.2g}"


def _table(head: Sequence[str], rows: Iterable[list[str]]) -> str:
    lines = (head, ["---", *["---:"] * (len(head) - 1)], *rows)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rates", type=Path, help="what throughput.py measured of a card")
    parser.add_argument("--price", type=float, default=EXAMPLE_PRICE, help="of an hour of a card")
    parser.add_argument("--print", action="store_true", help="print the tables; write nothing")
    parser.add_argument("--count", type=Path, metavar="DIR", help="count again what scaling.json holds")
    asked = parser.parse_args()
    if (asked.rates or asked.price != EXAMPLE_PRICE) and not asked.print:
        parser.error("the page keeps its own rates and price; add --print")
    try:
        if asked.count:
            count(asked.count)
        cpu = read_rates(MEASURED)
        card = read_rates(asked.rates) if asked.rates else assumed_card(cpu)
        found = tables(read_inputs(), cpu, card, asked.price)
        if asked.print:
            print("\n".join(f"{heading}\n\n{table}" for heading, table in found.items()), end="")
        else:
            write_tables(PAGE, found)
    except HoldfastError as error:
        parser.exit(error.exit_code, f"{error}\n")


if __name__ == "__main__":
    main()
