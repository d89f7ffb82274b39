"""DRAM controllers behind one interface: which one is chosen by ``dram.policy``.

============================  ======================================================================================
``dram.policy``               controller
============================  ======================================================================================
``in_order``                  strictly in order (:mod:`archsim.timing.dram_in_order`), as DRAMsim3 with queues of one
``frfcfs``                    first ready, first come (:mod:`archsim.timing.dram_frfcfs_kernel`), as Ramulator 2.1
``frfcfs_row_hit``            the same, but no row is closed while an older request waits for it
============================  ======================================================================================
"""

from __future__ import annotations

from typing import Protocol

from archsim.config.arch import DramSpec
from archsim.config.dram import DramPresetSpec
from archsim.timing.dram_constraints import Int64Array, IssuedCommand
from archsim.timing.dram_frfcfs import FrFcfsDram
from archsim.timing.dram_in_order import InOrderDram
from archsim.timing.dram_transfer import BoolArray, Completion, DramCommands

__all__ = ["Completion", "DramCommands", "DramCore", "FrFcfsDram", "InOrderDram", "make_dram"]


class DramCore(Protocol):
    """One channel with its controller, without a clock of its own. All times are DRAM clock cycles.

    Transfers wait, in the order in which they were submitted, in a queue of any length; the controller takes one
    burst a cycle from its head, when it has room for it. Nothing may be submitted for a cycle before the one that
    :meth:`advance` has reached or the arrival of an earlier transfer (ValueError).
    """

    def bursts(self, address_bytes: int, transfer_bytes: int) -> int:
        """Number of bursts that cover a transfer. Raises ValueError for a negative address or an empty transfer."""
        ...

    def submit(self, arrival_cycle: int, address_bytes: int, transfer_bytes: int, is_write: bool) -> int:
        """Transfer consecutive bytes, in whole bursts; returns a ticket. Tickets count up from 0.

        The first command issues in ``arrival_cycle + 1`` at the earliest. Raises ValueError as :meth:`bursts`.
        """
        ...

    def submit_many(
        self,
        arrival_cycles: Int64Array,
        addresses_bytes: Int64Array,
        transfers_bytes: Int64Array,
        are_writes: BoolArray,
    ) -> int:
        """As :meth:`submit` for arrays [transfers]; returns the first ticket, the others follow."""
        ...

    def next_event(self) -> int | None:
        """Cycle of the next completion if nothing else is submitted; None when nothing is under way."""
        ...

    def advance(self, to_cycle: int) -> list[Completion]:
        """Let time pass until the end of a cycle; returns what has completed since the last call, by cycle, ticket."""
        ...

    def drain(self) -> Int64Array:
        """Let time pass until all has completed: ticket and cycle, [transfers, 2], in the order of :meth:`advance`."""
        ...

    def commands(self, until_cycle: int) -> DramCommands:
        """Commands issued by the end of a cycle that is not past, those of refreshes included."""
        ...

    def log(self) -> tuple[IssuedCommand, ...]:
        """The first commands issued, as many as were asked for when the core was made."""
        ...


def make_dram(preset: DramPresetSpec, spec: DramSpec, log_entries: int = 0) -> FrFcfsDram | InOrderDram:
    """The controller that a configuration asks for, with a channel whose rows are all closed.

    log_entries: how many commands to record for :meth:`DramCore.log`.
    """
    if spec.policy == "in_order":
        return InOrderDram(preset, spec.address_mapping, log_entries)
    row_hit_first = spec.policy == "frfcfs_row_hit"
    return FrFcfsDram(preset, spec.address_mapping, spec.queue_entries, row_hit_first, log_entries)
