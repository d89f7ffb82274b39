"""Cycles of systolic arrays against those that SCALE-Sim reports (Samajdar et al., ISPASS 2020; version 3.0.0).

Each row is one layer. Its plan is run tile by tile on the simulated PE array with every operand at hand when it is
needed, as in the rows: nothing is loaded, stored or sent over a port or bus that could make the array wait.

Two habits of SCALE-Sim are reproduced here and nowhere else. A stride that does not divide the map gets one output
row or column more than a convolution has, ``out = ceil((size - filter + stride) / stride)``; the map is enlarged to
hold it. The reported ``compute_cycles`` is the index of the last cycle, one less than their number. The map of a row
is the padded one.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from archsim.config.arch import ArchSpec
from archsim.config.load import load_dram_preset
from archsim.config.workload import Conv2dSpec
from archsim.errors import InvalidInput, Problem
from archsim.mapping.base import TilePlan, TileWork
from archsim.network.graph import IMAGE, Layer, Network, Shape
from archsim.schedule.program import compile_program
from archsim.sim.decisions import ImagePath
from archsim.sim.engine import run_image
from archsim.validation.golden_csv import GoldenRow, one_of, read_golden, whole_number
from archsim.validation.report import RowComparison, ValidationReport

SHIPPED = Path(__file__).parent / "golden" / "systolic.csv"
METRIC = "compute_cycles"
DATAFLOWS = {"ws": "weight_stationary", "os": "output_stationary", "is": "input_stationary"}
_UNLIMITED_BYTES_PER_CYCLE = 65536
_LENGTH = whole_number(1, 1 << 15)
_COLUMNS = {
    "dataflow": one_of(*DATAFLOWS),
    "array_rows": whole_number(1, 1024),
    "array_cols": whole_number(1, 1024),
    **dict.fromkeys(("ifmap_h", "ifmap_w", "filt_h", "filt_w", "channels", "num_filters", "stride"), _LENGTH),
    METRIC: whole_number(0, 1 << 62),
}


@dataclass(frozen=True, slots=True)
class SystolicCase:
    """One layer on one array. height, width: of the padded map; filter_*: of the window."""

    dataflow: str
    rows: int
    cols: int
    height: int
    width: int
    filter_height: int
    filter_width: int
    channels: int
    filters: int
    stride: int

    @property
    def out_shape(self) -> tuple[int, int]:
        """Output rows and columns as SCALE-Sim counts them.

        >>> SystolicCase("weight_stationary", 4, 8, 9, 13, 3, 5, 4, 33, 3).out_shape
        (3, 4)
        """
        sizes = ((self.height, self.filter_height), (self.width, self.filter_width))
        height, width = (-(-(size - window + self.stride) // self.stride) for size, window in sizes)
        return height, width

    @property
    def layer(self) -> Layer:
        """The convolution, its map enlarged so that the last window fits."""
        (out_height, out_width), stride = self.out_shape, self.stride
        spec = Conv2dSpec(
            op="conv2d",
            name="layer",
            filters=self.filters,
            kernel=(self.filter_height, self.filter_width),
            stride=(stride, stride),
        )
        height = (out_height - 1) * stride + self.filter_height
        width = (out_width - 1) * stride + self.filter_width
        shape, out = Shape(height, width, self.channels), Shape(out_height, out_width, self.filters)
        return Layer("layer", spec, (IMAGE,), shape, out, signed_input=True, signed_output=True)

    @property
    def arch(self) -> ArchSpec:
        """The array with buffers that hold everything and buses as wide as they can be."""
        names = ("ifmap_bytes_per_cycle", "filter_bytes_per_cycle", "psum_bytes_per_cycle")
        section = {
            "rows": self.rows,
            "cols": self.cols,
            "dataflow": self.dataflow,
            "noc": dict.fromkeys(names, _UNLIMITED_BYTES_PER_CYCLE),
        }
        buffer = {"size_kib": 1 << 20, "filter_kib": 1 << 19}
        return ArchSpec.model_validate(
            {"schema": "archsim.arch/1", "name": "ideal", "pe_array": section, "global_buffer": buffer}
        )


def validate_systolic(golden: Path | None) -> ValidationReport:
    """Compare ``compute_cycles`` of every row; a :class:`~archsim.validation.report.Validate`."""
    path = golden or SHIPPED
    rows = read_golden(path, _COLUMNS)
    problems = [
        Problem(
            f"{path}:{row.line}", name, f"found {row.values[name]}, expected at most the {size} of {whole}"
        )
        for row in rows
        for name, whole in (("filt_h", "ifmap_h"), ("filt_w", "ifmap_w"))
        if row.values[name] > (size := row.values[whole])
    ]
    if problems:
        raise InvalidInput(problems)
    return ValidationReport("systolic", [_compare(row) for row in rows])


def _compare(row: GoldenRow) -> RowComparison:
    last_cycle = simulated_cycles(_case(row)) - 1
    words = [row.cells[name] for name in ("network", "config", "layer") if name in row.cells]
    return RowComparison(
        "/".join([*words, f"line {row.line}"]), {METRIC: row.values[METRIC]}, {METRIC: last_cycle}
    )


def _case(row: GoldenRow) -> SystolicCase:
    found = row.values
    return SystolicCase(
        dataflow=DATAFLOWS[found["dataflow"]],
        rows=found["array_rows"],
        cols=found["array_cols"],
        height=found["ifmap_h"],
        width=found["ifmap_w"],
        filter_height=found["filt_h"],
        filter_width=found["filt_w"],
        channels=found["channels"],
        filters=found["num_filters"],
        stride=found["stride"],
    )


def simulated_cycles(case: SystolicCase) -> int:
    """Cycles from the first to the last of the layer on the simulated array, operands always at hand."""
    layer, arch = case.layer, case.arch
    network = Network("layer", layer.input_shape, case.filters, (layer,))
    program = compile_program(network, arch, load_dram_preset(arch.dram.preset))
    (step,) = program.steps
    plan = supplied(step.plan)
    outcome = run_image(
        replace(program, steps=(replace(step, plan=plan),)),
        ImagePath((), None),
        lambda _: TileWork(plan.compute_cycles, plan.macs),
    )
    (run,) = outcome.array
    return run.end_cycle - run.start_cycle - arch.controller.dispatch_cycles


def supplied(plan: TilePlan) -> TilePlan:
    """The same tiles with nothing to wait for: no bytes to load, to store or to move through the buffer port."""
    moved = [field.name for field in fields(plan) if field.name.endswith("_bytes")]
    nothing: dict[str, Any] = dict.fromkeys(moved, np.zeros(plan.tiles, np.int64))
    return replace(plan, **nothing)
