"""What an iteration of an attack is charged. Needs no model."""

from .attacks import Attack, is_guided, keeps_a_beam, next_length
from .budget import cost_of_iteration, forward_cost


def iteration_cost(attack: Attack, parameters: int, tokens: int, candidates: int, beam: tuple[int, int]) -> int:
    """FLOP of an iteration that scores so many candidates.

    parameters: N of the victim. tokens: T of the text with a string of the attack's full length. beam: the strings in
    it and the tokens in each.
    """
    around = tokens - attack.length
    scored = around + next_length(attack, beam[1])
    cost = cost_of_iteration(parameters, scored, candidates, gradient=attack.uses_gradient)
    return cost + proposing_cost(attack, around, beam)


def proposing_cost(attack: Attack, around: int, beam: tuple[int, int]) -> int:
    """FLOP of the passes of a language model that proposes tokens, each over the text with the string as it then is.

    around: tokens of the text without a string.
    """
    if not is_guided(attack):
        return 0
    return sum(
        passes * forward_cost(attack.proposal_parameters, around + tokens) for passes, tokens in attack.asks(*beam)
    )


def dearest_iteration(attack: Attack, parameters: int, tokens: int) -> int:
    """FLOP of an iteration with all its candidates, in a beam attack of the dearest one."""
    beams = [(0, 0)]
    if keeps_a_beam(attack):
        beams += [(attack.width, length) for length in range(attack.shortest, attack.length)]
    return max(iteration_cost(attack, parameters, tokens, attack.candidates, beam) for beam in beams)
