"""How much longer zero skipping takes where PEs cannot run ahead of their column: the known difference, measured.

That the twin without queues takes so long is tested in ``test_pe_array.py`` (``lockstep_cycles``); here any mapping is
worked out, by the same rule.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from archsim.api import load
from archsim.config.load import load_arch, load_dram_preset
from archsim.functional.trace import FunctionalTrace
from archsim.functional.trace_io import load_trace
from archsim.mapping.geometry import Geometry, geometry_of
from archsim.schedule.program import Program, Step, compile_program
from archsim.sim.engine import nonzero_map


def column_macs(geo: Geometry, nonzero: np.ndarray) -> np.ndarray:
    """int64 (padded rows, channels, output columns): nonzero activations of a row under the windows of a column."""
    below = geo.kernel_rows + geo.stride_rows * geo.out_height
    right = geo.kernel_cols + geo.stride_cols * geo.out_width
    padded = np.pad(nonzero, ((geo.pad_rows, below), (geo.pad_cols, right), (0, 0))).astype(np.int64)
    steps = range(0, geo.out_width * geo.stride_cols, geo.stride_cols)
    return np.stack([padded[:, x : x + geo.kernel_cols].sum(axis=1) for x in steps], axis=2)


def pass_cycles(geo: Geometry, mapping: dict[str, int], nonzero: np.ndarray) -> tuple[int, int]:
    """MACs and accumulation of all passes of a layer, buses apart: (as planned, in lockstep)."""
    macs, planned, lockstep = column_macs(geo, nonzero), 0, 0
    e, p, q, r, t = (mapping[name] for name in "epqrt")
    for top in range(0, geo.out_height, e):
        rows = np.arange(top, min(top + e, geo.out_height))[:, np.newaxis] * geo.stride_rows
        taken = macs[rows + np.arange(geo.kernel_rows)]  # output row, filter row, channel, output column
        for first in range(0, geo.channels, q * r):
            block = taken[:, :, first : first + q * r]
            share = -(-block.shape[2] // r)
            sets = np.add.reduceat(block, range(0, block.shape[2], share), axis=2)
            pes = sets.reshape(len(rows), -1, geo.out_width)
            slowest, waiting = pes.sum(axis=2).max(), pes.max(axis=1).sum(axis=1).max()
            for start in range(0, geo.filters, p * t):
                filters = -(-min(p * t, geo.filters - start) // t)
                planned += filters * int(slowest + geo.out_width)
                lockstep += filters * int(waiting + geo.out_width)
    return planned, lockstep


def of_step(step: Step, program: Program, trace: FunctionalTrace, image: int) -> tuple[int, int]:
    geo = geometry_of(step.layer)
    nonzero = nonzero_map(trace, step.layer.inputs[0], program.network, image)
    found = pass_cycles(geo, step.plan.mapping, nonzero.reshape(geo.height, geo.width, geo.channels))
    work = program.dataflow.work(step.layer, program.arch, step.plan, nonzero)
    # The plan also waits for its buses, never less.
    assert int(work.compute_cycles.sum()) >= found[0]
    return found


def percent_longer(workload: str, images: int) -> float:
    """Of all layers of the trunk, by the zeros of the trace that ships with a workload."""
    loaded: Any = load(workload)
    arch = load_arch("locoexnet-65nm", ["exits.enabled=false"])
    program = compile_program(loaded.network, arch, load_dram_preset(arch.dram.preset))
    trace = load_trace(loaded.loaded.trace_paths, loaded.network, loaded.tensor_hashes)
    found = np.sum(
        [of_step(step, program, trace, image) for image in range(images) for step in program.steps], axis=0
    )
    return float(100 * (found[1] / found[0] - 1))


def test_a_filter_row_alone_never_waits() -> None:
    """One PE a column of the array: in lockstep with nobody."""
    geo = Geometry("one", 2, 3, False, 1, 2, 1, 1, 0, 0, 4, 5, 4, 4, False)
    mapping = {"e": 1, "p": 3, "q": 2, "r": 1, "t": 1}
    nonzero = np.random.default_rng(3).random((4, 5, 2)) < 0.5
    planned, lockstep = pass_cycles(geo, mapping, nonzero)
    assert planned == lockstep == 3 * int(column_macs(geo, nonzero)[:4].sum()) + 4 * 3 * 4


def test_by_how_much_it_takes_longer() -> None:
    """The number of docs/explanation/rtl.md."""
    assert round(percent_longer("vgg16-slim-cifar10", 2), 1) == 6.0
