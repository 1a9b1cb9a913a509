"""BEAST as its paper has it, with a language model that proposes likely next tokens [Sadasivan et al. 2024].

The search is that of `beast`; only where the tokens come from differs, and that the attacker pays for it. The model
shares the victim's tokenizer. Which one it is is a parameter, so a score says which model proposed.
"""

from dataclasses import dataclass
from typing import ClassVar

from .beast import Beast


@dataclass(frozen=True)
class BeastLM(Beast):
    """proposal: the model, a folder or Hub id. proposal_digest: its SHA-256. proposal_parameters: its N.

    They are empty until a model is chosen.
    """

    name: ClassVar[str] = "beast_lm"
    summary: ClassVar[str] = "beast, with a language model that proposes the next tokens and is charged for"

    proposal: str = ""
    proposal_digest: str = ""
    proposal_parameters: int = 0

    def asks(self, strings: int, tokens: int) -> list[tuple[int, int]]:
        if self.next_length(tokens) > self.shortest:
            return [(strings, tokens)]
        # The first tokens, drawn together, and what comes after each of them.
        return [(1, 0), *([(self.width, 1)] if self.shortest > 1 else [])]
