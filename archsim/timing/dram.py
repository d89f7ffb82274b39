"""An in-order, open-page DRAM controller, timed in DRAM clock cycles.

One command a cycle. Requests are served strictly in the order of arrival: no command of a request is issued before
the column command of the request ahead of it. A request for another row precharges and activates first. Every
``trefi`` cycles all open banks are precharged, one a cycle, and refreshed. Constraints (from -> to, distance) are
those of the JEDEC parameters listed in :class:`archsim.config.dram.DramTimingSpec`:

========  ================================  ==========================================
scope     from -> to                        distance
========  ================================  ==========================================
bank      ACT -> RD/WR, ACT -> PRE          tRCD, tRAS
bank      PRE -> ACT                        tRP
bank      RD -> PRE, WR -> PRE              tRTP, CWL + BL/2 + tWR
rank      ACT -> ACT (same group)           tRRD_S (tRRD_L); fifth after the first tFAW
rank      RD -> RD, WR -> WR (same group)   max(BL/2, tCCD_S) (tCCD_L)
rank      RD -> WR                          CL + BL/2 + 2 - CWL
rank      WR -> RD (same group)             CWL + BL/2 + tWTR_S (tWTR_L)
rank      PRE -> REF, REF -> ACT            tRP, tRFC
========  ================================  ==========================================

Addresses map as row | bank | bank group | column (a stream stays in a row, then moves to the next bank).
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from archsim.config.dram import DramPresetSpec

FAR_PAST = -(1 << 40)

# Positions in the vector of parameters, and of counters, that the kernel takes.
(
    _BURST, _CL, _CWL, _TRCD, _TRP, _TRAS, _TRRD_S, _TRRD_L, _TFAW, _TCCD_S, _TCCD_L, _TWR, _TRTP, _TWTR_S, _TWTR_L,
    _TRFC, _TREFI,
) = range(17)  # fmt: skip
_TIMING_FIELDS = (
    "burst_cycles", "cl", "cwl", "trcd", "trp", "tras", "trrd_s", "trrd_l", "tfaw", "tccd_s", "tccd_l", "twr", "trtp",
    "twtr_s", "twtr_l", "trfc", "trefi",
)  # fmt: skip
ACTIVATES, READS, WRITES, REFRESHES = range(4)


@dataclass(frozen=True, slots=True)
class DramCommands:
    """Commands issued so far."""

    activates: int
    reads: int
    writes: int
    refreshes: int


class InOrderDram:
    """State of one channel between requests. All times are DRAM clock cycles."""

    def __init__(self, preset: DramPresetSpec) -> None:
        self.burst_bytes = preset.burst_bytes
        self._groups = preset.bank_groups
        self._banks = preset.banks
        self._bursts_per_row = preset.row_bytes // preset.burst_bytes
        self._timing = np.array([getattr(preset.timing, name) for name in _TIMING_FIELDS], dtype=np.int64)
        self._open_row = np.full(self._banks, -1, dtype=np.int64)
        self._bank_ready = np.full((3, self._banks), FAR_PAST, dtype=np.int64)
        self._last_act = np.full(5, FAR_PAST, dtype=np.int64)
        self._last_column = np.full((2, self._groups), FAR_PAST, dtype=np.int64)
        self._group_act = np.full(self._groups, FAR_PAST, dtype=np.int64)
        self._clock = np.array([FAR_PAST, self._timing[_TREFI]], dtype=np.int64)
        self._counts = np.zeros(4, dtype=np.int64)

    def access(self, arrival_cycle: int, address_bytes: int, transfer_bytes: int, is_write: bool) -> int:
        """Serve consecutive bursts that cover a transfer; returns the cycle in which its last data beat has moved.

        arrival_cycle: not before that of the last call. address_bytes, transfer_bytes: >= 0 and > 0.
        """
        if transfer_bytes < 1 or address_bytes < 0:
            raise ValueError(f"no transfer: {transfer_bytes} bytes at {address_bytes}")
        first = address_bytes // self.burst_bytes
        last = (address_bytes + transfer_bytes - 1) // self.burst_bytes
        return int(
            _serve(
                self._timing, self._open_row, self._bank_ready, self._last_act, self._last_column, self._group_act,
                self._clock, self._counts, arrival_cycle, first, last - first + 1, is_write, self._bursts_per_row,
                self._groups,
            )
        )  # fmt: skip

    def bursts(self, address_bytes: int, transfer_bytes: int) -> int:
        """Number of bursts that cover a transfer."""
        return (
            (address_bytes + transfer_bytes - 1) // self.burst_bytes - address_bytes // self.burst_bytes + 1
        )

    def commands(self, until_cycle: int) -> DramCommands:
        """Commands issued by ``until_cycle``, refreshes of an idle end included."""
        counts = self._counts
        due = max(0, (until_cycle - int(self._clock[1])) // int(self._timing[_TREFI]) + 1)
        return DramCommands(
            int(counts[ACTIVATES]), int(counts[READS]), int(counts[WRITES]), int(counts[REFRESHES]) + due
        )


@numba.njit(cache=True)
def _refresh(
    timing: npt.NDArray[np.int64], open_row: npt.NDArray[np.int64], bank_ready: npt.NDArray[np.int64],
    clock: npt.NDArray[np.int64], counts: npt.NDArray[np.int64],
) -> None:  # fmt: skip
    """Precharge what is open, then refresh; the pending refresh was due at clock[1]."""
    now = max(clock[0] + 1, clock[1])
    closed = now
    for bank in range(len(open_row)):
        if open_row[bank] >= 0:
            now = max(now, bank_ready[1, bank])
            closed = max(closed, now + timing[_TRP])
            open_row[bank] = -1
            now += 1
        else:
            closed = max(closed, bank_ready[2, bank])
    for bank in range(len(open_row)):
        bank_ready[2, bank] = closed + timing[_TRFC]
    clock[0] = closed
    clock[1] += timing[_TREFI]
    counts[REFRESHES] += 1


@numba.njit(cache=True)
def _serve(
    timing: npt.NDArray[np.int64], open_row: npt.NDArray[np.int64], bank_ready: npt.NDArray[np.int64],
    last_act: npt.NDArray[np.int64], last_column: npt.NDArray[np.int64], group_act: npt.NDArray[np.int64],
    clock: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], arrival: int, first_burst: int, bursts: int,
    is_write: bool, bursts_per_row: int, groups: int,
) -> int:  # fmt: skip
    """bank_ready rows: earliest column command, earliest PRE, earliest ACT; clock: last command, next refresh due."""
    banks = len(open_row)
    burst_cycles, cl, cwl = timing[_BURST], timing[_CL], timing[_CWL]
    same = 1 if is_write else 0
    done = 0
    for index in range(first_burst, first_burst + bursts):
        group = (index // bursts_per_row) % groups
        bank = (index // bursts_per_row) % banks
        row = index // (bursts_per_row * banks)
        now = max(arrival + 1, clock[0] + 1)
        while now >= clock[1]:
            _refresh(timing, open_row, bank_ready, clock, counts)
            now = max(arrival + 1, clock[0] + 1)
        if open_row[bank] != row:
            if open_row[bank] >= 0:
                now = max(now, bank_ready[1, bank])
                bank_ready[2, bank] = max(bank_ready[2, bank], now + timing[_TRP])
                now += 1
            now = max(now, bank_ready[2, bank], last_act[4] + timing[_TRRD_S], last_act[1] + timing[_TFAW])
            now = max(now, group_act[group] + timing[_TRRD_L])
            last_act[:4] = last_act[1:]
            last_act[4] = now
            group_act[group] = now
            open_row[bank] = row
            bank_ready[0, bank] = now + timing[_TRCD]
            bank_ready[1, bank] = now + timing[_TRAS]
            counts[ACTIVATES] += 1
            now += 1
        now = max(now, bank_ready[0, bank])
        for other in range(groups):
            is_same_group = other == group
            ccd = max(burst_cycles, timing[_TCCD_S], timing[_TCCD_L] if is_same_group else 0)
            now = max(now, last_column[same, other] + ccd)
            if is_write:
                now = max(now, last_column[0, other] + cl + burst_cycles + 2 - cwl)
            else:
                wtr = max(timing[_TWTR_S], timing[_TWTR_L] if is_same_group else 0)
                now = max(now, last_column[1, other] + cwl + burst_cycles + wtr)
        last_column[same, group] = now
        clock[0] = now
        if is_write:
            bank_ready[1, bank] = max(bank_ready[1, bank], now + cwl + burst_cycles + timing[_TWR])
            done = now + cwl + burst_cycles
            counts[WRITES] += 1
        else:
            bank_ready[1, bank] = max(bank_ready[1, bank], now + timing[_TRTP])
            done = now + cl + burst_cycles
            counts[READS] += 1
    return done
