"""Row-stationary passes, PE by PE and cycle by cycle: slow, obvious and independent of the formulas.

Every PE gets the list of its MACs; in each cycle each PE does the next one or idles. Buses move their width in each
cycle until nothing is left. What has to move is found by collecting coordinates, not by counting formulas.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class OracleCase:
    """A convolution and an array; loops and letters as in Chen et al., JSSC 2017."""

    channels: int
    filters: int
    depthwise: bool
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, ...]
    height: int
    width: int
    e: int
    p: int
    q: int
    r: int
    t: int
    strips_outer: bool
    bus_bytes: tuple[int, int, int]
    """Bytes a cycle of the ifmap, filter and psum buses."""
    bits: tuple[int, int, int]
    """Bits of activations, weights and partial sums."""
    batch: int = 1
    n: int = 1
    g: int = 1
    starts_on_arrival: bool = False

    @property
    def out_shape(self) -> tuple[int, int]:
        """(E, F)."""
        return (
            (self.height + self.padding[0] + self.padding[-2] - self.kernel[0]) // self.stride[0] + 1,
            (self.width + self.padding[1] + self.padding[-1] - self.kernel[1]) // self.stride[1] + 1,
        )


@dataclass
class OraclePass:
    """What one pass did. macs: every (image, filter, channel, out row, out column, filter row, filter column)."""

    fill_cycles: int = 0
    compute_cycles: int = 0
    bus_cycles: int = 0
    drain_cycles: int = 0
    nonzero_macs: int = 0
    ifmap_read_words: int = 0
    ifmap_bus_words: int = 0
    filter_words: int = 0
    psum_in_words: int = 0
    out_words: int = 0
    outputs: int = 0
    local_psum_words: int = 0
    ifmap_spad_writes: int = 0
    filter_spad_writes: int = 0
    active_pes: int = 0
    macs: list[tuple[int, ...]] = field(default_factory=list)
    needed: set[tuple[int, int, int, int]] = field(default_factory=set)
    """Real input elements (image, channel, row, column)."""


def chunks(items: list[int], size: int) -> list[list[int]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def shared_out(items: list[int], sets: int) -> list[list[int]]:
    """As evenly as blocks of one size allow; the last sets may get nothing."""
    size = 1
    while size * sets < len(items):
        size += 1
    return chunks(items, size)


def transfer(words: int, bits: int, bus_bytes: int) -> int:
    """Cycles of a bus, one after the other."""
    left = words * bits
    cycles = 0
    while left > 0:
        left -= 8 * bus_bytes
        cycles += 1
    return cycles


@dataclass(frozen=True)
class Indices:
    """Loop indices of a pass; channels empty for depthwise."""

    images: list[int]
    group: list[int]
    strip: list[int]
    channels: list[int]


def loops(case: OracleCase) -> list[Indices]:
    """Every pass in execution order."""
    size = case.q * case.t if case.depthwise else case.p * case.t
    groups = chunks(list(range(case.filters)), size)
    blocks = [groups[start : start + case.g] for start in range(0, len(groups), case.g)]
    strips = chunks(list(range(case.out_shape[0])), case.e)
    channel_groups = [[]] if case.depthwise else chunks(list(range(case.channels)), case.q * case.r)
    outside = [(strip, block) for strip in strips for block in blocks]
    if not case.strips_outer:
        outside = [(strip, block) for block in blocks for strip in strips]
    return [
        Indices(images, group, strip, channels)
        for images in chunks(list(range(case.batch)), case.n)
        for strip, block in outside
        for channels in channel_groups
        for group in block
    ]


def simulate(case: OracleCase, nonzero: object, skip: bool) -> list[OraclePass]:
    """Every pass. nonzero: indexable [image, row, column, channel] of truth values."""
    done, filters_held = [], None
    for at in loops(case):
        filters_new = (at.group, at.channels) != filters_held
        filters_held = (at.group, at.channels)
        done.append(one_pass(case, nonzero, skip, at, filters_new))
    return done


def one_pass(
    case: OracleCase,
    nonzero: object,
    skip: bool,
    at: Indices,
    new: bool,
) -> OraclePass:
    """Fill, compute and drain."""
    result = OraclePass()
    pes = assign(case, at.group, at.strip, at.channels)
    result.active_pes = len(pes)
    jobs = [
        [mac for image in at.images for mac in pe_jobs(case, nonzero, skip, image, pe, result)] for pe in pes
    ]
    lanes = 0
    while any(jobs):
        lanes += 1
        for queue in jobs:
            if queue:
                queue.pop()
    psums = max(len(held) for held, _seen, _i, _j in pes)
    accumulation = 0
    for _column in range(case.out_shape[1] * len(at.images)):
        for _psum in range(psums):
            accumulation += 1
    move(case, at, new, pes, result)
    if case.starts_on_arrival:
        first = [[mac for mac in dense_jobs(case, pe) if mac[2] == 0] for pe in pes]
        for _mac in max(first, key=len):
            if result.fill_cycles:
                result.fill_cycles -= 1
    result.bus_cycles = max(result.bus_cycles, accumulation)
    result.compute_cycles = max(lanes + accumulation, result.bus_cycles)
    return result


def assign(
    case: OracleCase, group: list[int], strip: list[int], channels: list[int]
) -> list[tuple[list[int], list[int], int, int]]:
    """PEs as (their filters, their channels, filter row, output row). Channels of a depthwise PE are its filters."""
    rows = [(i, j) for i in range(case.kernel[0]) for j in strip]
    if case.depthwise:
        return [(held, held, i, j) for held in shared_out(group, case.t) for i, j in rows]
    return [
        (held, seen, i, j)
        for held in shared_out(group, case.t)
        for seen in shared_out(channels, case.r)
        for i, j in rows
    ]


def pe_jobs(
    case: OracleCase,
    nonzero: object,
    skip: bool,
    image: int,
    pe: tuple[list[int], list[int], int, int],
    result: OraclePass,
) -> list[tuple[int, ...]]:
    """MACs of a PE on one image in order; records what it needs."""
    queue = []
    for mac in dense_jobs(case, pe):
        _filter_index, channel, column, j, i, tap = mac
        y, x = j * case.stride[0] + i - case.padding[0], column * case.stride[1] + tap - case.padding[1]
        real = 0 <= y < case.height and 0 <= x < case.width
        if real:
            result.needed.add((image, channel, y, x))
        is_nonzero = real and bool(nonzero[image, y, x, channel])
        result.macs.append((image, *mac))
        result.nonzero_macs += is_nonzero
        if is_nonzero or not skip:
            queue.append(mac)
    return queue


def dense_jobs(
    case: OracleCase, pe: tuple[list[int], list[int], int, int]
) -> list[tuple[int, int, int, int, int, int]]:
    """MACs of a PE on one image in order: (filter, channel, out column, out row, filter row, filter column)."""
    held, seen, i, j = pe
    return [
        (filter_index, channel, column, j, i, tap)
        for column in range(case.out_shape[1])
        for channel in seen
        for tap in range(case.kernel[1])
        for filter_index in ([channel] if case.depthwise else held)
    ]


def move(
    case: OracleCase,
    at: Indices,
    new: bool,
    pes: list[tuple[list[int], list[int], int, int]],
    result: OraclePass,
) -> None:
    """Everything that moves, counted from coordinates."""
    (kernel_rows, kernel_cols), cols_out = case.kernel, case.out_shape[1]
    group, strip, channels = at.group, at.strip, at.channels
    maps = group if case.depthwise else channels
    xs = {f * case.stride[1] + s for f in range(cols_out) for s in range(kernel_cols)}
    ys = {j * case.stride[0] + i for j in strip for i in range(kernel_rows)}
    words = [(image, c, y, x) for image in at.images for c in maps for y in ys for x in xs]
    first = [word for word in words if word[0] == at.images[0] and word[3] < kernel_cols]
    result.ifmap_bus_words, result.ifmap_read_words = len(words), len(result.needed)
    weights = {(f, c, i, s) for _image, f, c, _column, _j, i, s in result.macs}
    result.filter_words = len(weights) if new else 0
    columns = [(image, column) for image in at.images for column in range(cols_out)]
    values = [(f, j, column) for f in group for j in strip for column in columns]
    inner = [value for value in values if value[2] != columns[-1]]
    is_first = case.depthwise or channels[0] == 0
    is_last = case.depthwise or channels[-1] == case.channels - 1
    result.psum_in_words = 0 if is_first else len(values)
    result.out_words, result.outputs = len(values), len(values) if is_last else 0
    time_buses(case, len(first), len(words) - len(first), len(values) - len(inner), len(inner), result)
    result.ifmap_spad_writes = sum(len(at.images) * len(seen) * len(xs) for _held, seen, _i, _j in pes)
    if new:
        per_channel = [1 if case.depthwise else len(held) for held, _seen, _i, _j in pes]
        result.filter_spad_writes = sum(
            count * len(pe[1]) * kernel_cols for count, pe in zip(per_channel, pes, strict=True)
        )
    links = {(tuple(held), j) for held, _seen, _i, j in pes}
    for held, j in links:
        chain = [pe for pe in pes if tuple(pe[0]) == held and pe[3] == j]
        result.local_psum_words += (len(chain) - 1) * len(held) * len(columns)


def time_buses(
    case: OracleCase, first: int, others: int, drained: int, streamed: int, result: OraclePass
) -> None:
    """Words of each phase, over buses that move in parallel."""
    activation_bits, weight_bits, psum_bits = case.bits
    ifmap_bus, filter_bus, psum_bus = case.bus_bytes
    out_bits = activation_bits if result.outputs else psum_bits
    result.fill_cycles = max(
        transfer(first, activation_bits, ifmap_bus), transfer(result.filter_words, weight_bits, filter_bus)
    )
    result.bus_cycles = max(
        transfer(others, activation_bits, ifmap_bus),
        transfer(result.psum_in_words, psum_bits, psum_bus),
        transfer(streamed, out_bits, psum_bus),
    )
    result.drain_cycles = transfer(drained, out_bits, psum_bus)
