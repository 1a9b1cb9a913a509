"""How numbers are written on pages: the words of `holdfast show`, so that site and command line say the same."""

import math

from ..benchmark import format_gpu_time
from .standing import Median

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def flop(cost: float) -> str:
    """4e12 -> `4.00e+12 FLOP`."""
    return f"{cost:.2e} FLOP"


def power(cost: float) -> str:
    """4e12 -> `4·10¹²`, for axes and headings."""
    if cost == 0:
        return "0"
    exponent = math.floor(math.log10(cost) + 1e-9)
    lead = f"{cost / 10**exponent:.3g}"
    tail = f"10{str(exponent).translate(_SUPERSCRIPTS)}"
    return tail if lead == "1" else f"{lead}·{tail}"


def count(number: float) -> str:
    return f"{number:,.0f}"


def short_count(number: float) -> str:
    """Parameters as people say them: 125,824 -> `126k`, 1311629312 -> `1.31b`."""
    for size, unit in ((1e12, "t"), (1e9, "b"), (1e6, "m"), (1e3, "k")):
        if number >= size * 0.9995:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"


def passes(number: float) -> str:
    """Multiples of a forward pass."""
    return f"{number:,.0f} passes" if number < 1e4 else f"{power(number)} passes"


def median_text(median: Median | None, unit: float | None = None) -> str:
    """A median break cost: GPU time, or forward passes of `unit` FLOP. Empty where there is none."""
    if median is None or math.isnan(median.cost):
        return ""
    if unit is None:
        written = format_gpu_time(median.reached if math.isinf(median.cost) else median.cost)
    else:
        written = passes((median.reached if math.isinf(median.cost) else median.cost) / unit)
    if math.isinf(median.cost):
        return "" if median.bound else f"> {written}"
    return f"≤ {written}" if median.bound else written


def area_text(area: float | None) -> str:
    return "" if area is None else f"{area:.3f}"
