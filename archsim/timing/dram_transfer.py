"""What goes into and comes out of every DRAM core: transfers, completions, counts of commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from archsim.timing.dram_constraints import Int64Array

BoolArray = npt.NDArray[np.bool_]


class Completion(NamedTuple):
    """The last data beat of the last burst of a transfer has moved by the end of ``cycle``."""

    ticket: int
    cycle: int


@dataclass(frozen=True, slots=True)
class DramCommands:
    """Commands issued so far, and bursts that needed none.

    forwarded_reads: answered from the write buffer. coalesced_writes: merged into a write that was still buffered.
    """

    activates: int
    reads: int
    writes: int
    refreshes: int
    forwarded_reads: int = 0
    coalesced_writes: int = 0


class Intake:
    """Checks transfers, cuts them into the bursts that cover them and numbers them.

    >>> Intake(64).cover(60, 8)
    (0, 2)
    """

    def __init__(self, burst_bytes: int) -> None:
        self._burst_bytes = burst_bytes
        self.tickets = 0
        self.now = 0
        """Nothing may arrive before this cycle any more."""

    def cover(self, address_bytes: int, transfer_bytes: int) -> tuple[int, int]:
        """Index of the first burst and number of bursts. Raises ValueError for what is no transfer."""
        if transfer_bytes < 1 or address_bytes < 0:
            raise ValueError(f"no transfer: {transfer_bytes} bytes at {address_bytes}")
        first = address_bytes // self._burst_bytes
        return first, (address_bytes + transfer_bytes - 1) // self._burst_bytes - first + 1

    def take(self, arrival_cycle: int) -> int:
        """Ticket of a transfer. Raises ValueError when it arrives in the past."""
        if arrival_cycle < self.now:
            raise ValueError(f"a transfer arrives in cycle {arrival_cycle}, time has reached {self.now}")
        self.now = arrival_cycle
        self.tickets += 1
        return self.tickets - 1

    def take_many(
        self, arrival_cycles: Int64Array, addresses_bytes: Int64Array, transfers_bytes: Int64Array
    ) -> tuple[int, Int64Array, Int64Array]:
        """First ticket, first bursts and numbers of bursts; as :meth:`take` and :meth:`cover`, for int64 arrays."""
        if not len(arrival_cycles):
            return self.tickets, arrival_cycles, arrival_cycles
        if transfers_bytes.min() < 1 or addresses_bytes.min() < 0:
            raise ValueError("no transfer: an address is negative or a transfer empty")
        if arrival_cycles[0] < self.now or (np.diff(arrival_cycles) < 0).any():
            raise ValueError(f"transfers arrive out of order, or before cycle {self.now}, which is past")
        first_ticket = self.tickets
        self.tickets += len(arrival_cycles)
        self.now = int(arrival_cycles[-1])
        first = addresses_bytes // self._burst_bytes
        return first_ticket, first, (addresses_bytes + transfers_bytes - 1) // self._burst_bytes - first + 1
