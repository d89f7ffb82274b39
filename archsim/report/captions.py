"""What a plot says about the results in it: what they share is its title, where they differ is the label of each."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence

from archsim.results.run_result import RunResult

_TITLE_CHARACTERS = 85
_LABEL_CHARACTERS = 32
_ALONE = "alone"
_LABELS_ONLY = ("dram", "engine", "version")
"""Told only where they differ: a title is short."""


def title(what: str, results: Sequence[RunResult]) -> str:
    """``what``, and under it what all results share: workload, arch, settings, images, energy table."""
    facts = [_facts(result) for result in results]
    shared = [
        text
        for key, text in facts[0].items()
        if key not in _LABELS_ONLY and all(other.get(key) == text for other in facts)
    ]
    return f"{what}\n{joined(shared, ' · ', _TITLE_CHARACTERS)}"


def labels(results: Sequence[RunResult]) -> list[str]:
    """What tells each result from the others, in lines; runs that nothing tells apart are numbered.

    A single result is called by its arch.
    """
    facts = [_facts(result) for result in results]
    keys = [key for key in merged_order([list(other) for other in facts]) if _differs(key, facts)]
    names = [
        joined([other[key] for key in keys if key in other] or [result.arch], ", ", _LABEL_CHARACTERS)
        for other, result in zip(facts, results, strict=True)
    ]
    counts = Counter(names)
    return [
        f"{name}, run {names[: index + 1].count(name)}" if counts[name] > 1 else name
        for index, name in enumerate(names)
    ]


def joined(words: Sequence[str], separator: str, characters: int) -> str:
    """Words in lines of at most so many characters. A line breaks inside a word only when the word is longer.

    >>> joined(["digits", "200 images", "table 65nm"], ", ", 20)
    'digits, 200 images,\\ntable 65nm'
    """
    lines: list[str] = []
    for index, word in enumerate(words):
        piece = word + (separator if index < len(words) - 1 else "")
        if lines and len(lines[-1] + piece.rstrip()) <= characters:
            lines[-1] += piece
        else:
            lines += textwrap.wrap(piece, characters, drop_whitespace=False)
    return "\n".join(line.rstrip() for line in lines)


def merged_order(orders: Sequence[Sequence[str]]) -> list[str]:
    """One order that keeps the order of every list; an entry new in a list follows the one before it there.

    >>> merged_order([["conv1", "conv2", "fc"], ["conv1", "exit1", "conv2", "fc"]])
    ['conv1', 'exit1', 'conv2', 'fc']
    """
    merged: list[str] = []
    for order in orders:
        place = 0
        for name in order:
            if name not in merged:
                merged.insert(place, name)
            place = merged.index(name) + 1
    return merged


def _facts(result: RunResult) -> dict[str, str]:
    """Words by the setting that they tell of; a setting that is not made is absent."""
    facts = {"workload": result.workload, "arch": result.arch}
    facts |= {f"--set {override.partition('=')[0]}": override for override in result.overrides}
    if result.arrivals != _ALONE:
        facts["arrivals"] = _arrivals(result)
    facts["images"] = f"{result.images} image{'s' if result.images != 1 else ''}"
    facts["energy_table"] = f"energy table {result.energy_table}"
    facts["dram"] = f"DRAM {result.dram_preset}"
    facts["engine"] = f"engine {result.engine}"
    facts["version"] = f"archsim {result.version}"
    return facts


def _differs(key: str, facts: Sequence[dict[str, str]]) -> bool:
    return len({other.get(key) for other in facts}) > 1


def _arrivals(result: RunResult) -> str:
    try:
        return f"arrivals {float(result.arrivals):g} Hz (seed {result.seed})"
    except ValueError:
        return f"arrivals {result.arrivals}"
