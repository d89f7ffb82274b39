"""Time, traffic and power of convolutions on the Eyeriss chip against its published measurements.

Each row is a layer: its shape, the images of its batch and the fraction of zeros in its input. It runs on the preset
``eyeriss-65nm`` with the mapping that the search finds, tile by tile on the simulated hardware, the layer's input and
output in DRAM. Nothing is taken from the measured columns.

Zeros lie where a seeded generator puts them, uniformly; the run-length code and the gated MACs follow from these maps.
The zeros of the outputs are those that the next layer of the file reads, taken back over a max pool
(:mod:`archsim.validation.eyeriss_layers`).

As published: *buffer bytes* are those between buffer and array without filters, the first psum of an output included;
*processing latency* is without the time in which the array stands still for loads and stores of maps and without its
configuration; *power* is that of the chip without its DRAM. Groups of a grouped convolution run one after the other.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from archsim.config.arch import ArchSpec
from archsim.config.dram import DramPresetSpec
from archsim.config.load import load_arch, load_dram_preset, load_energy_table
from archsim.energy.account import account
from archsim.energy.table import ResolvedTable, resolve
from archsim.errors import InvalidInput, Problem, did_you_mean
from archsim.mapping.base import BoolArray, Placement, TileWork
from archsim.mapping.compression import CodedMap, map_transfers
from archsim.mapping.fusion import fuse
from archsim.network.graph import Shape
from archsim.registry import get_dataflow
from archsim.schedule.program import Program, Step, TensorSource
from archsim.sim.decisions import ImagePath
from archsim.sim.engine import run_image
from archsim.sim.records import ImageRecord
from archsim.sim.tally import tally
from archsim.validation.eyeriss_layers import EyerissLayer, eyeriss_layers
from archsim.validation.golden_csv import GoldenRow, Parse, number, read_golden, whole_number
from archsim.validation.report import RowComparison, SkippedRow, ValidationReport

SHIPPED = Path(__file__).parent / "golden" / "eyeriss_alexnet.csv"
ARCH = "eyeriss-65nm"
METRICS = ("proc_latency_ms", "total_latency_ms", "power_mw", "energy_mj", "glb_mb", "dram_mb", "active_pes")
ADDITIVE_METRICS = ("proc_latency_ms", "total_latency_ms", "energy_mj", "glb_mb", "dram_mb")
TOTAL = "Total"


def _fraction(cell: str) -> float:
    value = number(cell) if cell else -1.0
    if not 0 <= value <= 1:
        raise ValueError("a fraction from 0 to 1")
    return value


_COLUMNS: dict[str, Parse] = {"layer": str, "batch": whole_number(1, 64), "ifmap_zero_frac": _fraction}


@dataclass(frozen=True, slots=True)
class EyerissCase:
    """One row. zeros_in, zeros_out: fractions of zeros in the layer's input and output."""

    layer: EyerissLayer
    batch: int
    zeros_in: float
    zeros_out: float


@dataclass(frozen=True)
class Chip:
    """The chip, its link and what its actions cost."""

    arch: ArchSpec
    dram: DramPresetSpec
    table: ResolvedTable

    @classmethod
    @cache
    def eyeriss(cls) -> Chip:
        """The preset."""
        return cls.of(ARCH)

    @classmethod
    def of(cls, name: str) -> Chip:
        """An accelerator with its DRAM and its energy table."""
        arch = load_arch(name)
        dram = load_dram_preset(arch.dram.preset)
        return cls(arch, dram, resolve(load_energy_table(arch.energy_table), arch, dram))


def validate_eyeriss(golden: Path | None) -> ValidationReport:
    """Compare all rows of a golden file; a :class:`~archsim.validation.report.Validate`.

    Of the metrics only those are compared whose columns are there and whose cells are not blank. Raises InvalidInput
    for a bad file, an unknown layer, or when no cell is left to compare.
    """
    chip, rows = Chip.eyeriss(), measured_rows(golden)
    return report_of(rows, [predict(case, chip) for case, _ in rows.cases])


@dataclass(frozen=True)
class MeasuredRows:
    """A golden file: what is to be simulated beside what was measured, by metric; rows without any metric are out."""

    path: Path
    cases: list[tuple[EyerissCase, dict[str, float]]]
    skipped: list[SkippedRow]


def measured_rows(golden: Path | None) -> MeasuredRows:
    """Read a golden file, the one that ships by default; raises InvalidInput as :func:`validate_eyeriss`."""
    path = golden or SHIPPED
    rows = read_golden(path, _COLUMNS)
    skipped = [SkippedRow(TOTAL, "a sum of other rows") for row in rows if row.values["layer"] == TOTAL]
    rows = [row for row in rows if row.values["layer"] != TOTAL]
    measured = _measured(path, rows)
    found = [(case, values) for case, values in zip(_cases(path, rows), measured, strict=True) if values]
    if not found:
        raise InvalidInput([Problem(str(path), "", f"found none of the columns {', '.join(METRICS)}")])
    return MeasuredRows(path, found, skipped)


def report_of(rows: MeasuredRows, predictions: Sequence[Mapping[str, float]]) -> ValidationReport:
    """Predictions, one a case, beside what was measured."""
    comparisons = [
        RowComparison(case.layer.name, measured, {metric: predicted[metric] for metric in measured})
        for (case, measured), predicted in zip(rows.cases, predictions, strict=True)
    ]
    return ValidationReport("eyeriss", comparisons, rows.skipped, ADDITIVE_METRICS)


def _measured(path: Path, rows: Sequence[GoldenRow]) -> list[dict[str, float]]:
    """Metrics of each row; energy from power and latency where it has no column."""
    problems, measured = [], []
    for row in rows:
        found: dict[str, float] = {}
        for metric in METRICS:
            cell = row.cells.get(metric, "")
            try:
                found |= {metric: number(cell)} if cell else {}
            except ValueError as error:
                problems.append(Problem(f"{path}:{row.line}", metric, f'found "{cell}", expected {error}'))
        if "energy_mj" not in found and {"power_mw", "total_latency_ms"} <= set(found):
            found["energy_mj"] = found["power_mw"] * found["total_latency_ms"] / 1000
        measured.append({metric: found[metric] for metric in METRICS if metric in found})
    if problems:
        raise InvalidInput(problems)
    return measured


def _cases(path: Path, rows: Sequence[GoldenRow]) -> list[EyerissCase]:
    """What is to be simulated; zeros of outputs from the rows of the layers behind."""
    known = {layer.name: layer for layers in eyeriss_layers().values() for layer in layers}
    problems = [
        Problem(f"{path}:{row.line}", "layer", f'found "{name}", no layer of {" or ".join(eyeriss_layers())}',
                did_you_mean(name, known))
        for row in rows
        if (name := row.values["layer"]) not in known
    ]  # fmt: skip
    if problems:
        raise InvalidInput(problems)
    zeros = {row.values["layer"]: row.values["ifmap_zero_frac"] for row in rows}
    behind = {
        layer.name: following.name
        for layers in eyeriss_layers().values()
        for layer, following in pairwise(layers)
    }
    return [
        EyerissCase(
            layer=known[row.values["layer"]],
            batch=row.values["batch"],
            zeros_in=row.values["ifmap_zero_frac"],
            zeros_out=_zeros_out(known[row.values["layer"]], zeros, behind),
        )
        for row in rows
    ]


def _zeros_out(layer: EyerissLayer, zeros: Mapping[str, float], behind: Mapping[str, str]) -> float:
    """Of the layer's outputs; as many as in its inputs where nothing is known."""
    following = behind.get(layer.name, "")
    if following in zeros:
        return layer.zeros_before_pool(zeros[following])
    return zeros[layer.name] if layer.zeros_out is None else layer.zeros_out


def predict(case: EyerissCase, chip: Chip) -> dict[str, float]:
    """Every metric of one row."""
    return metrics_of(case, chip, *run_layer(case, chip))


def run_layer(case: EyerissCase, chip: Chip) -> tuple[Step, ImageRecord]:
    """Simulate one row; of a grouped convolution one of the groups."""
    program = _program(case, chip)
    work = _work(case, program)
    (step,) = program.steps
    return step, tally(program, run_image(program, ImagePath((), None), lambda _: work), lambda _: work)


def _program(case: EyerissCase, chip: Chip) -> Program:
    """The layer alone, from DRAM to DRAM."""
    network, buffer = case.layer.network, chip.arch.global_buffer
    (fused,) = fuse(network)
    dataflow = get_dataflow(chip.arch.pe_array.dataflow)
    placement = Placement(
        ifmap_on_chip=False,
        ofmap_on_chip=False,
        capacity_bytes=(buffer.size_kib - buffer.filter_kib) * 1024,
        dram_bytes_per_cycle=max(2 * chip.dram.channel_bits // 8, 1),
        batch=case.batch,
    )
    region = 1 << 30
    step = Step(
        index=0,
        fused=fused,
        placement=placement,
        plan=dataflow.plan(fused.layer, chip.arch, placement),
        weight_address=0,
        ifmap=TensorSource(region, None),
        summand=None,
        store_address=2 * region,
        branch=None,
        part_of=None,
    )
    return Program(network, chip.arch, chip.dram, dataflow, (step,), ())


def _work(case: EyerissCase, program: Program) -> TileWork:
    """Zeros at random, the same for the same layer."""
    (step,) = program.steps
    random = np.random.default_rng(zlib.crc32(case.layer.name.encode()))
    nonzero = _random_map(random, case.batch, step.layer.input_shape, case.zeros_in)
    stored = _random_map(random, case.batch, step.layer.output_shape, case.zeros_out)
    bits = program.arch.precision.activation_bits
    coded = None if case.layer.image else CodedMap.of(nonzero, bits)
    work = program.dataflow.work(step.layer, program.arch, step.plan, nonzero)
    return replace(work, maps=map_transfers(step.plan, coded, None, CodedMap.of(stored, bits)))


def _random_map(random: np.random.Generator, batch: int, shape: Shape, zeros: float) -> BoolArray:
    found: BoolArray = random.random((batch, shape.height, shape.width, shape.channels), np.float32) >= zeros
    return found


def metrics_of(case: EyerissCase, chip: Chip, step: Step, record: ImageRecord) -> dict[str, float]:
    """Every metric of a row that ran."""
    (layer,), groups, counters = record.layers, case.layer.groups, record.counters
    proc_cycles = layer.cycles - layer.map_cycles - chip.arch.controller.dispatch_cycles
    first_psums_bytes = int(step.plan.outputs.sum()) * chip.arch.precision.psum_bits // 8
    buffer_bytes = (
        counters.total("noc", "ifmap_byte") + counters.total("noc", "psum_byte") + first_psums_bytes
    )
    total_ms = groups * record.cycles / (1000 * chip.arch.clock.core_mhz)
    energy = account(counters, chip.table)
    energy_mj = groups * (energy.total_pj - energy.by_component["dram"]) / 1e9
    return {
        "proc_latency_ms": groups * proc_cycles / (1000 * chip.arch.clock.core_mhz),
        "total_latency_ms": total_ms,
        "power_mw": 1000 * energy_mj / total_ms,
        "energy_mj": energy_mj,
        "glb_mb": groups * buffer_bytes / 1e6,
        "dram_mb": groups * (record.dram_read_bytes + record.dram_write_bytes) / 1e6,
        "active_pes": float(step.plan.active_pes),
    }
