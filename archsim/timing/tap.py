"""Units that listen on the write path: the adder tree of the DBP unit and the pooling registers of a branch."""

from __future__ import annotations

from archsim.kernels.compiler import kernel


class WritePathTap:
    """Takes ``lanes`` values a cycle, in order of arrival; values wait in a FIFO while it is behind."""

    def __init__(self, lanes: int) -> None:
        if lanes < 1:
            raise ValueError("a tap needs at least one lane")
        self.lanes = lanes
        self.free_at_cycle = 0

    def absorb(self, now_cycle: int, values: int) -> int:
        """Values that were written by ``now_cycle``; returns the cycle in which the last of them has been taken.

        >>> tap = WritePathTap(lanes=16)
        >>> tap.absorb(100, 16), tap.absorb(100, 40)
        (100, 103)
        """
        if values < 0:
            raise ValueError(f"negative number of values {values}")
        self.free_at_cycle = int(free_after(self.lanes, self.free_at_cycle, now_cycle, values))
        return max(self.free_at_cycle, now_cycle)


@kernel
def free_after(lanes: int, free_at: int, now: int, values: int) -> int:
    """Cycle in which a tap that was free at ``free_at`` has taken what was written by ``now``.

    The tap works beside the write: a group of ``lanes`` values written in a cycle is taken in that cycle, so only what
    exceeds the lanes costs time after the write.
    """
    return max(free_at, now - 1) + -(-values // lanes) if values else free_at
