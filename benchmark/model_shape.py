"""What a decoder's shape says about its cost: parameters, weights, and the FLOP that passes really execute.

Pure arithmetic, for plans of models that are not at hand. Executed is what the engine computes where candidates share
their example's prefix, each with a slot and a tail of its own; see docs/method.md.
"""

from dataclasses import dataclass

from ..tasks import UsageError


@dataclass(frozen=True)
class ModelShape:
    """A decoder with a classification head of two labels.

    parameters: N, embeddings included. weights: those that every token is multiplied with. last_block: of those, the
    feed-forward block of the last layer, which only the token that is read goes through.
    """

    name: str
    width: int
    layers: int
    heads: int
    vocabulary: int
    parameters: int
    weights: int
    last_block: int

    def pass_flop(self, tokens: int, before: float = 0) -> float:
        """FLOP of a forward pass over tokens that see those before them, and as many of each other."""
        return tokens * (2 * self.weights + 4 * self.width * self.layers * (before + tokens))

    def prefix_flop(self, prefix: int) -> float:
        """FLOP of the keys and values of a prefix, once per example."""
        return prefix * (2 * self.weights + 4 * self.width * self.layers * (prefix // 2))

    def candidate_flop(self, prefix: int, tail: int) -> float:
        """FLOP of one candidate. tail: tokens of the string and of what follows it."""
        return self.pass_flop(tail, before=prefix) - (tail - 1) * 2 * self.last_block

    def gradient_flop(self, prefix: int, tail: int) -> float:
        """FLOP of one gradient at the slot: a forward pass, and a backward pass of twice as much."""
        return self.candidate_flop(prefix, tail) + 2 * self.pass_flop(tail, before=prefix)


def _neox(name: str, width: int, layers: int, heads: int, vocabulary: int = 50_304) -> ModelShape:
    """A GPT-NeoX: four square matrices of attention, and two of four times the width, with biases."""
    weights = 12 * width**2 * layers + 2 * width
    # Per layer 9 widths of biases and two norms of 2; one norm at the end.
    parameters = vocabulary * width + weights + 13 * width * layers + 2 * width
    return ModelShape(name, width, layers, heads, vocabulary, parameters, weights, 8 * width**2)


def _llama(
    name: str, width: int, layers: int, heads: int, vocabulary: int, key_heads: int, feed_forward: int
) -> ModelShape:
    """A Llama: keys and values with fewer heads, a gated feed-forward block, and no biases."""
    attention = 2 * width**2 + 2 * width * (width // heads * key_heads)
    block = 3 * width * feed_forward
    weights = (attention + block) * layers + 2 * width
    parameters = vocabulary * width + weights + 2 * width * layers + width
    return ModelShape(name, width, layers, heads, vocabulary, parameters, weights, block)


SHAPES: dict[str, ModelShape] = {
    shape.name: shape
    for shape in (
        _neox("14m", 128, 6, 4),
        _neox("31m", 256, 6, 8),
        _neox("70m", 512, 6, 8),
        _neox("160m", 768, 12, 12),
        _neox("410m", 1024, 24, 16),
        _neox("1b", 2048, 16, 8),
        _neox("1.4b", 2048, 24, 16),
        _neox("2.8b", 2560, 32, 32),
        _neox("6.9b", 4096, 32, 32, 50_432),
        _neox("12b", 5120, 36, 40, 50_688),
        _llama("70b", 8192, 80, 64, 32_000, 8, 28_672),
    )
}
"""Pythia's [Biderman et al. 2023, arXiv 2304.01373, table 1; 14m and 31m from their configurations], and beyond them
Llama 2 at 70b [Touvron et al. 2023, arXiv 2307.09288].
"""
PYTHIA = tuple(name for name in SHAPES if name != "70b")


def get_shape(name: str) -> ModelShape:
    """The shape of that name. Raises: UsageError for any other."""
    if name not in SHAPES:
        raise UsageError(f"There is no shape '{name}'; choose one of {', '.join(SHAPES)}.")
    return SHAPES[name]
