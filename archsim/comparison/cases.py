"""What a comparison simulates: cases, each a workload on an accelerator, and the overrides that reach each of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from archsim.errors import InvalidInput, Problem
from archsim.results.defaults import ENGINES

DECIDING_SECTIONS = ("exits", "dbp", "branch_unit", "dbp_unit")
"""Sections of an architecture that only an accelerator that decides has a use for."""


@dataclass(frozen=True)
class Case:
    """One run: a workload and an accelerator, each by path or built-in name, and ``KEY=VALUE`` overrides."""

    workload: str
    arch: str
    overrides: tuple[str, ...] = ()

    def but(self, *overrides: str) -> Case:
        """The same with other overrides; of two of one key the later one stays.

        >>> Case("digits", "dense-rs", ("pe_array.rows=8",)).but("pe_array.rows=6", "pe_array.zero=gate").overrides
        ('pe_array.rows=6', 'pe_array.zero=gate')
        """
        return replace(self, overrides=merged((*self.overrides, *overrides)))


def merged(overrides: Iterable[str]) -> tuple[str, ...]:
    """Overrides without those that a later one of the same key replaces."""
    by_key = {override.partition("=")[0].strip(): override for override in overrides}
    return tuple(by_key.values())


def shared_overrides(overrides: Sequence[str]) -> tuple[str, ...]:
    """Those that baselines take too: all but what decides, which they do in a way of their own.

    >>> shared_overrides(["dram.preset=ddr4-2400-x8", "exits.exit7.threshold=2000", "branch_unit.macs=8"])
    ('dram.preset=ddr4-2400-x8',)
    """
    return tuple(text for text in overrides if text.partition(".")[0].strip() not in DECIDING_SECTIONS)


def settings(text: str) -> tuple[str, ...]:
    """``KEY=V1,V2`` as ``KEY=V1`` and ``KEY=V2``. Raises InvalidInput on anything else.

    >>> settings("global_buffer.size_kib=54,108")
    ('global_buffer.size_kib=54', 'global_buffer.size_kib=108')
    """
    key, equals, values = text.partition("=")
    found = tuple(f"{key}={value.strip()}" for value in values.split(",") if value.strip())
    if not (key and equals and found):
        message = f'found "{text}", expected KEY=VALUE,VALUE'
        raise InvalidInput([Problem("--vary", "", message, "--vary global_buffer.size_kib=54,108,216")])
    return found


@dataclass(frozen=True)
class Request:
    """What ``archsim compare`` is asked.

    workload: the one to compare. baselines: accelerators, each with the workload that it runs. conventional: a workload
    with conventional branches, for the ladder; None without. overrides: of the accelerator, and where
    :func:`shared_overrides` lets them of all baselines. images, data, energy_table, engine, arrivals, seed: as in
    :func:`archsim.api.simulate`.
    """

    workload: str
    arch: str
    baselines: tuple[tuple[str, str], ...]
    conventional: str | None = None
    overrides: tuple[str, ...] = ()
    energy_table: str | None = None
    images: int | None = None
    data: str | None = None
    engine: str = ENGINES[0]
    arrivals: str | None = None
    seed: int = 1

    @property
    def ours(self) -> Case:
        """The run that all others are compared with."""
        return Case(self.workload, self.arch, merged(self.overrides))

    @property
    def baseline_cases(self) -> tuple[Case, ...]:
        """One a baseline, in their order."""
        shared = merged(shared_overrides(self.overrides))
        return tuple(Case(workload, arch, shared) for arch, workload in self.baselines)

    def but(self, setting: str) -> Request:
        """The same with one key set."""
        return replace(self, overrides=merged((*self.overrides, setting)))

    @property
    def full_network(self) -> str:
        """The workload that the ladder starts from: that of the first baseline."""
        return self.baselines[0][1]
