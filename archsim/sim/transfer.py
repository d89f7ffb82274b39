"""A transfer of the DMA on its way."""

from __future__ import annotations

import simpy

from archsim.sim.clock import Clock


class Transfer:
    """Consecutive bytes of which chunks are handed over in order and finish in whatever order the memory serves them.

    plain_bytes: what is on the buffer's side of coded bytes, None where they are not coded. next_address: of the first
    byte that has not been handed over.
    """

    __slots__ = (
        "_done",
        "asks",
        "chunks_left",
        "end",
        "next_address",
        "owner",
        "plain_bytes",
        "start",
        "tile",
    )

    def __init__(
        self,
        owner: str,
        tile: int,
        address: int,
        transfer_bytes: int,
        plain_bytes: int | None,
        chunks: int,
    ) -> None:
        self.owner = owner
        self.tile = tile
        self.start = self.next_address = address
        self.end = address + transfer_bytes
        self.plain_bytes = plain_bytes
        self.chunks_left = chunks
        self._done: simpy.Event | None = None

    @property
    def is_done(self) -> bool:
        """Whether its last chunk has finished."""
        return not self.chunks_left

    def done(self, clock: Clock) -> simpy.Event:
        """The event of its completion, for one that is not complete."""
        if self._done is None:
            self._done = clock.event()
        return self._done

    def finish_chunk(self) -> None:
        """One chunk more has finished."""
        self.chunks_left -= 1
        if not self.chunks_left and self._done is not None:
            self._done.succeed()

    def plain_bytes_until(self, address: int) -> int:
        """Of the coded bytes up to an address."""
        assert self.plain_bytes is not None
        return self.plain_bytes * (address - self.start) // (self.end - self.start)
