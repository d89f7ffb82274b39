"""What is decided before the first image of a run: files read and checked, all problems reported together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from archsim.config.arch import ArchSpec
from archsim.config.checks import check_mappings
from archsim.config.dram import DramPresetSpec
from archsim.config.load import (
    check_exits,
    load_dram_preset,
    load_energy_table,
    load_workload,
    read_arch,
)
from archsim.energy.table import ResolvedTable, resolve
from archsim.errors import InvalidInput, Problem
from archsim.functional.decide import Policy
from archsim.network.graph import Network
from archsim.network.load import load_network
from archsim.network.overrides import with_overrides
from archsim.results.source import Workload


def load(workload: str | Path) -> Workload:
    """A workload by path or built-in name. Raises InvalidInput listing every problem of the file.

    >>> load("digits").network.class_count
    10
    """
    loaded = load_workload(workload)
    return Workload(loaded, load_network(loaded))


@contextmanager
def collecting(problems: list[Problem]) -> Iterator[None]:
    """Keep the problems of what is read inside, so that all inputs are reported together."""
    try:
        yield
    except InvalidInput as error:
        problems += error.problems


@dataclass(frozen=True)
class Setup:
    """A workload on an accelerator with its DRAM and energies. network: the workload's as the accelerator decides."""

    workload: Workload
    network: Network
    arch: ArchSpec
    dram: DramPresetSpec
    resolved: ResolvedTable
    policy: Policy

    @classmethod
    def of(
        cls,
        workload: str | Path | Workload,
        arch: str | Path,
        energy_table: str | Path | None,
        overrides: Sequence[str],
        problems: list[Problem],
        *,
        needs_weights: bool,
    ) -> Setup:
        """Read all files; InvalidInput lists the problems of all of them behind those found before."""
        opened, accelerator, table = None, None, None
        with collecting(problems):
            opened = workload if isinstance(workload, Workload) else load(workload)
        with collecting(problems):
            accelerator = read_arch(arch, overrides)
        with collecting(problems):
            table = None if energy_table is None else load_energy_table(energy_table)
        if opened is not None:
            with collecting(problems):
                # Read now, so that a damaged file is reported together with all other problems.
                _ = opened.weights if needs_weights or not opened.spec.is_shape_only else None
            if accelerator is not None:
                with collecting(problems):
                    check_exits(accelerator.spec, opened.network, accelerator.document)
                with collecting(problems):
                    check_mappings(accelerator.spec, opened.network, accelerator.document)
        if problems or opened is None or accelerator is None:
            raise InvalidInput(problems)
        spec = accelerator.spec
        dram = load_dram_preset(spec.dram.preset)
        resolved = resolve(table or load_energy_table(spec.energy_table), spec, dram)
        network = with_overrides(opened.network, spec.exits, spec.dbp)
        policy = Policy.of(network, exits_enabled=spec.exits.enabled, dbp_enabled=spec.dbp.enabled)
        return cls(opened, network, spec, dram, resolved, policy)
