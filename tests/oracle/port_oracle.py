"""The buffer port, cycle by cycle: slow and obvious."""

from __future__ import annotations

from collections import deque


def port_completions(
    width_bytes: int, burst_bytes: int, clients: int, arrivals: list[tuple[int, int, int]]
) -> list[int]:
    """Completion cycle of each transaction. arrivals: (cycle, client, bytes), sorted by cycle."""
    queues: list[deque[list[int]]] = [deque() for _ in range(clients)]
    done = [-1] * len(arrivals)
    pending = deque(enumerate(arrivals))
    served_last, burst_left, current = clients - 1, 0, None
    cycle = 0
    while pending or any(queues) or burst_left:
        while pending and pending[0][1][0] == cycle:
            index, (_, client, size) = pending.popleft()
            queues[client].append([index, size])
        if burst_left == 0:
            for step in range(1, clients + 1):
                client = (served_last + step) % clients
                if queues[client]:
                    current, served_last = queues[client][0], client
                    burst_left = min(burst_bytes, current[1])
                    break
        if burst_left:
            moved = min(width_bytes, burst_left)
            burst_left -= moved
            current[1] -= moved
            if current[1] == 0:
                queues[served_last].popleft()
                done[current[0]] = cycle + 1
        cycle += 1
    return done
