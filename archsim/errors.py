"""Every error that archsim raises on purpose, each with the exit code of the command line.

Library code raises these; only the command line prints and exits.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


class ArchsimError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 1


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an input.

    where: ``file``, ``file:line:col`` or ``--set key=value``.
    key: dotted path of the offending key, ``""`` where there is none.
    message: what was found and what was expected.
    hint: what to try, ``""`` where there is nothing to suggest.
    """

    where: str
    key: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        parts = [self.where, self.key, self.message] if self.key else [self.where, self.message]
        text = ": ".join(parts)
        return printable(f"{text} (hint: {self.hint})" if self.hint else text)


def printable(text: str) -> str:
    r"""Text that a terminal shows and does not obey: one line, with control characters and the like written out.

    >>> print(printable("\x1b[2J\ud800é\n"))
    \x1b[2J\ud800é\n
    """
    if text.isprintable():
        return text
    return "".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in text)


class InvalidInput(ArchsimError):
    """A file or an option cannot be used; ``problems`` lists everything that is wrong, not the first only."""

    exit_code = 3

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class SimulationFailed(ArchsimError):
    """The simulated hardware broke an invariant."""

    exit_code = 4


@dataclass(frozen=True)
class Disagreement:
    """Two counts that must be equal, by name; ``law`` says why."""

    law: str
    left: str
    left_value: object
    right: str
    right_value: object

    @property
    def broken(self) -> bool:
        """Whether they differ."""
        return self.left_value != self.right_value

    def __str__(self) -> str:
        return f"{self.law}: {self.left}: {self.left_value}, {self.right}: {self.right_value}"


class ConservationBroken(SimulationFailed):
    """Counters of one run contradict each other; ``disagreements`` lists all that do."""

    def __init__(self, where: str, disagreements: Iterable[Disagreement]) -> None:
        self.disagreements = tuple(disagreements)
        super().__init__("\n".join(printable(f"{where}: {found}") for found in self.disagreements))


class Deadlock(SimulationFailed):
    """Nothing can happen any more although work is left; ``waiting`` maps each process to what it waits for."""

    def __init__(self, time_cycles: int, waiting: dict[str, str]) -> None:
        self.time_cycles = time_cycles
        self.waiting = waiting
        lines = [f"  {name} waits for {reason}" for name, reason in sorted(waiting.items())]
        super().__init__("\n".join([f"deadlock at cycle {time_cycles}:", *lines]))


class MissingExtra(ArchsimError):
    """An optional dependency is not installed."""

    exit_code = 5

    def __init__(self, extra: str, needed_for: str) -> None:
        self.extra = extra
        super().__init__(f'{needed_for} needs the extra "{extra}": pip install "archsim[{extra}]"')


def did_you_mean(found: str, allowed: Iterable[str]) -> str:
    """Hint naming the nearest allowed word, or all of them when none is near.

    >>> did_you_mean("pe_aray", ["pe_array", "clock"])
    'did you mean "pe_array"?'
    >>> did_you_mean("x", ["b", "a"])
    'allowed: a, b'
    """
    words = sorted(allowed)
    near = difflib.get_close_matches(found, words, n=1)
    if near:
        return f'did you mean "{near[0]}"?'
    return f"allowed: {', '.join(words)}" if words else ""
