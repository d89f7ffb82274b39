"""A buffer of interleaved banks, cycle by cycle: slow and obvious."""

from __future__ import annotations

from collections import deque


def banked_completions(
    width_bytes: int, burst_bytes: int, clients: int, banks: int, arrivals: list[tuple[int, int, int]]
) -> list[int]:
    """Completion cycle of each transaction. arrivals: (cycle, client, bytes), sorted by cycle."""
    queues: list[deque[list[int]]] = [deque() for _ in range(clients)]
    wants = [client * banks // clients for client in range(clients)]
    last = [clients - 1] * banks
    serving: list[int | None] = [None] * banks  # client that each bank is serving
    burst_left = [0] * clients
    done = [-1] * len(arrivals)
    pending = deque(enumerate(arrivals))
    cycle = 0
    while pending or any(queues):
        while pending and pending[0][1][0] == cycle:
            index, (_, client, size) = pending.popleft()
            queues[client].append([index, size])
        for bank in range(banks):
            if serving[bank] is not None:
                continue
            for step in range(1, clients + 1):
                client = (last[bank] + step) % clients
                if queues[client] and client not in serving and wants[client] == bank:
                    serving[bank], last[bank] = client, client
                    burst_left[client] = min(burst_bytes, queues[client][0][1])
                    break
        for bank in range(banks):
            client = serving[bank]
            if client is None:
                continue
            moved = min(width_bytes, burst_left[client])
            burst_left[client] -= moved
            queues[client][0][1] -= moved
            if queues[client][0][1] == 0:
                done[queues[client].popleft()[0]] = cycle + 1
            if burst_left[client] == 0:
                serving[bank] = None
                wants[client] = (wants[client] + 1) % banks
        cycle += 1
    return done
