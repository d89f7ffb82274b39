"""What must add up in every image, whatever the network and the machine; a sum that does not ends the run.

``disagreements`` costs next to nothing and is asked for every image. ``more_disagreements`` counts again what the
mapping counted, from shapes and zeros alone, and is asked for with ``--check``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import fields
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from archsim.errors import Disagreement
from archsim.mapping.base import BoolArray
from archsim.network.graph import FINAL, Layer
from archsim.schedule.program import Program
from archsim.sim.records import ImageRecord
from archsim.sim.stream import StreamId
from archsim.sim.system import Outcome
from archsim.sim.tally import WorkOf

ActionKey = tuple[str, str]
NonzeroOf = Callable[[str], BoolArray]
"""Bool (height, width, channels): where a tensor of the image is not zero, by its name."""
COUNT_END = 1 << 62
"""Counters are integers of any size, but the arrays of which they are sums are int64: nothing may come near 2^63."""


def disagreements(program: Program, outcome: Outcome, record: ImageRecord) -> list[Disagreement]:
    """Counters of one image that contradict each other; none where all is well."""
    totals: Counter[ActionKey] = Counter()
    for (component, action, _), amount in record.counters.counts.items():
        totals[component, action] += amount
    checks = (
        _exits(program, outcome, record),
        _time(program, record, totals),
        _macs(program, record, totals),
        _bytes(program, record, totals),
    )
    return [found for check in checks for found in check if found.broken]


def more_disagreements(
    program: Program, outcome: Outcome, work_of: WorkOf, nonzero_of: NonzeroOf, other: Outcome | None
) -> list[Disagreement]:
    """Further ones, that take longer. other: what the other engine makes of the image, None where it cannot run."""
    checks = [_nonzero_macs(program, outcome, work_of, nonzero_of), _streams(program, outcome)]
    if other is not None:
        checks.append(_other_engine(outcome, other))
    return [found for check in checks for found in check if found.broken]


def macs_on_nonzero(layer: Layer, nonzero: BoolArray) -> int:
    """MACs of a layer whose activation is not zero, from how many windows cover each pixel and nothing else.

    nonzero: bool (height, width, channels) of its input.
    """
    if layer.op == "linear":
        return int(np.count_nonzero(nonzero)) * layer.output_shape.channels
    rows = _covered(
        layer.input_shape.height,
        layer.output_shape.height,
        layer.kernel[0],
        layer.stride[0],
        layer.padding[0],
    )
    cols = _covered(
        layer.input_shape.width, layer.output_shape.width, layer.kernel[1], layer.stride[1], layer.padding[1]
    )
    filters = 1 if layer.op == "depthwise_conv2d" else layer.output_shape.channels // layer.groups
    return filters * sum(int(rows @ nonzero[:, :, channel] @ cols) for channel in range(nonzero.shape[2]))


def _covered(length: int, outputs: int, kernel: int, stride: int, padding: int) -> npt.NDArray[np.int64]:
    """Windows that cover each pixel of one dimension, int64 (length,)."""
    counts = np.zeros(length, np.int64)
    for output in range(outputs):
        start = output * stride - padding
        counts[max(start, 0) : max(start + kernel, 0)] += 1
    return counts


def _exits(program: Program, outcome: Outcome, record: ImageRecord) -> Iterator[Disagreement]:
    left = [branch.name for branch in record.branches if branch.exited]
    met = FINAL if outcome.left_at is None else program.branches[outcome.left_at].branch.name
    yield Disagreement("an image leaves once", "exit", record.exit_name, "exit of the machine", met)
    yield Disagreement(
        "an image leaves once",
        "branches that it left at",
        left,
        "its exit",
        [met] if left or met != FINAL else [],
    )
    for branch in record.branches:
        if branch.skipped and branch.exited:
            yield Disagreement(
                "nobody leaves at a pruned branch", f"exits at {branch.name}", 1, "evaluations", 0
            )


def _time(program: Program, record: ImageRecord, totals: Counter[ActionKey]) -> Iterator[Disagreement]:
    ratio = program.dram_cycles_per_core_cycle
    cycles = totals["leakage", "core_cycle"]
    yield Disagreement("every cycle is counted once", "leakage.core_cycle", cycles, "cycles", record.cycles)
    standby = totals["dram", "standby_cycle"]
    yield Disagreement(
        "every cycle is counted once",
        "dram.standby_cycle",
        standby,
        f"{ratio} x cycles",
        ratio * record.cycles,
    )
    array = [layer for layer in record.layers if layer.unit == "pe_array"]
    for layer in record.layers:
        inside = (
            0 <= layer.start_cycle <= layer.end_cycle <= record.cycles
            and 0 <= layer.stall_cycles <= layer.cycles
        )
        if not inside:
            span = [layer.start_cycle, layer.end_cycle, layer.stall_cycles]
            yield Disagreement(
                "a layer lies in its image",
                f"start, end, stalls of {layer.name}",
                span,
                "cycles",
                record.cycles,
            )
    for before, after in pairwise(array):
        if before.end_cycle > after.start_cycle:
            yield Disagreement(
                "the array runs one layer at a time",
                f"end of {before.name}",
                before.end_cycle,
                f"start of {after.name}",
                after.start_cycle,
            )


def _macs(program: Program, record: ImageRecord, totals: Counter[ActionKey]) -> Iterator[Disagreement]:
    done = {
        unit: sum(layer.macs for layer in record.layers if layer.unit == unit)
        for unit in ("pe_array", "branch_unit")
    }
    counted = totals["pe_array", "mac"] + totals["pe_array", "gated_mac"]
    yield Disagreement(
        "MACs are conserved",
        "pe_array.mac + pe_array.gated_mac",
        counted,
        "MACs of the layers",
        done["pe_array"],
    )
    counted = totals["branch_unit", "mac"]
    yield Disagreement(
        "MACs are conserved", "branch_unit.mac", counted, "MACs of the branches", done["branch_unit"]
    )
    shapes = {step.layer.name: step.layer.macs for step in program.steps}
    for layer in record.layers:
        if layer.unit == "pe_array" and layer.useful:
            found = layer.macs + layer.skipped_macs
            yield Disagreement(
                "MACs are conserved",
                f"MACs of {layer.name}, done and skipped",
                found,
                "its shape",
                shapes[layer.name],
            )


def _bytes(program: Program, record: ImageRecord, totals: Counter[ActionKey]) -> Iterator[Disagreement]:
    burst = program.dram.burst_bytes
    for action, found in (("read_burst", record.dram_read_bytes), ("write_burst", record.dram_write_bytes)):
        counted = totals["dram", action] * burst
        yield Disagreement(
            "DRAM bytes are conserved", f"dram.{action} x {burst}", counted, "DRAM bytes recorded", found
        )
    if not 0 <= record.wasted_bytes <= record.dram_read_bytes:
        yield Disagreement(
            "what is wasted was read",
            "wasted bytes",
            record.wasted_bytes,
            "DRAM bytes read",
            record.dram_read_bytes,
        )
    for (component, action, layer), amount in record.counters.counts.items():
        if amount >= COUNT_END:
            yield Disagreement(
                "counts fit 64 bits", f"{component}.{action} of {layer}", amount, "the largest", COUNT_END
            )


def _nonzero_macs(
    program: Program, outcome: Outcome, work_of: WorkOf, nonzero_of: NonzeroOf
) -> Iterator[Disagreement]:
    for run in outcome.array:
        step = program.steps[run.step]
        if run.tiles == step.plan.tiles and step.layer.is_compute:
            found = int(work_of(run.step).nonzero_macs.sum())
            expected = macs_on_nonzero(step.layer, nonzero_of(step.layer.inputs[0]))
            yield Disagreement(
                "zeros are known", f"MACs of {step.layer.name} on no zero", found, "by its zero map", expected
            )


def _streams(program: Program, outcome: Outcome) -> Iterator[Disagreement]:
    """What crosses DRAM channel and buffer: the same bytes, unless feature maps are coded between the two."""
    for stream in (StreamId.LOAD, StreamId.STORE):
        moved = sum(outcome.moved_bytes[stream].values())
        buffered = sum(outcome.buffer_bytes[stream].values())
        if program.arch.dma.compression == "none":
            name = stream.name.lower()
            yield Disagreement(
                "what leaves one memory enters the other",
                f"DRAM bytes of {name}",
                moved,
                "buffer bytes",
                buffered,
            )


def _other_engine(outcome: Outcome, other: Outcome) -> Iterator[Disagreement]:
    for item in fields(Outcome):
        found, expected = getattr(outcome, item.name), getattr(other, item.name)
        yield Disagreement(
            "both engines agree", f"{item.name} of this engine", found, "of the other", expected
        )
