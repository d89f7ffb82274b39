"""Cycles and commands of the DRAM controllers against those of Ramulator 2.1 and DRAMsim3.

A golden file has one row a run; the traces of requests lie in ``traces/`` beside it (``NAME.csv.gz`` or ``NAME.csv``
with ``cycle_offset,addr_hex,op``, one burst of 64 bytes each). Runs of controllers, or on traces, that archsim does
not have are skipped and say so. The README beside the file that ships says how the runs were made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from archsim.config.arch import DramSpec
from archsim.config.dram import DramPresetSpec
from archsim.config.load import load_dram_preset
from archsim.errors import InvalidInput, Problem
from archsim.timing.dram import make_dram
from archsim.timing.dram_constraints import Int64Array
from archsim.timing.dram_transfer import BoolArray
from archsim.validation.golden_csv import GoldenRow, Parse, one_of, read_golden, whole_number
from archsim.validation.report import RowComparison, SkippedRow, ValidationReport

SHIPPED = Path(__file__).parent / "golden" / "dram" / "results.csv"
METRICS = ("cycles", "ACT", "RD", "WR", "REF")
PRESETS = {
    "DDR3-1600_x8_4Gb": "ddr3-1600-x8",
    "DDR3-1600_x16_4Gb": "ddr3-1600-x16",
    "DDR4-2400_x8_8Gb": "ddr4-2400-x8",
    "LPDDR4-3200_x32_8Gb": "lpddr4-3200-like",
}
"""DRAM preset by the ``device`` of a row."""
MAPPINGS = {"RoBaCo": "row_bank_column", "RoCoBa": "row_column_bank"}
"""``dram.address_mapping`` by the ``mapping`` of a row."""
POLICIES: dict[tuple[str, str], dict[str, str | int]] = {
    ("ramulator2.1", "FRFCFS"): {"policy": "frfcfs"},
    ("ramulator2.1", "FRFCFS-RowHit"): {"policy": "frfcfs_row_hit"},
    ("ramulator2.1", "buf1"): {"policy": "frfcfs", "queue_entries": 1},
    ("dramsim3", "INORDER"): {"policy": "in_order"},
}
"""Keys of ``dram`` by the ``simulator`` and the ``policy`` of a row."""
_NO_REFRESH = "-noref"
_NEVER_CYCLES = 1 << 60


def _hexadecimal(cell: str) -> int:
    if not re.fullmatch("[0-9a-fA-F]{1,15}", cell):
        raise ValueError("a hexadecimal address without 0x")
    return int(cell, 16)


_COUNT = whole_number(0, 1 << 62)


def _count_or_blank(cell: str) -> int | None:
    return _COUNT(cell) if cell else None


_ROW_COLUMNS: dict[str, Parse] = {
    **dict.fromkeys(("simulator", "device", "mapping", "policy", "trace"), str),
    **dict.fromkeys(METRICS, _count_or_blank),
}
_TRACE_COLUMNS = {"cycle_offset": whole_number(0, 1 << 40), "addr_hex": _hexadecimal, "op": one_of("R", "W")}


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests of one burst each: arrival in DRAM clock cycles (int64, ascending), address (int64), is it a write."""

    arrival_cycles: Int64Array
    addresses_bytes: Int64Array
    are_writes: BoolArray


def validate_dram(golden: Path | None) -> ValidationReport:
    """Compare all runs of a golden file; a :class:`~archsim.validation.report.Validate`.

    Raises InvalidInput for a bad file or trace, or when there is no run that archsim can predict.
    """
    path = golden or SHIPPED
    problems: list[Problem] = []
    compared: list[GoldenRow] = []
    skipped: list[SkippedRow] = []
    traces = _Traces(path.parent / "traces")
    for row in read_golden(path, _ROW_COLUMNS):
        reason = _reason_to_skip(row, traces)
        if reason:
            skipped.append(SkippedRow(_name(row), reason))
            continue
        problems += _problems(path, row)
        compared.append(row)
    if not compared:
        message = f"found no run that can be predicted; the first: {skipped[0].name}: {skipped[0].reason}"
        problems.append(Problem(str(path), "", message))
    if problems:
        raise InvalidInput(problems)
    return ValidationReport("dram", [_compare(row, traces) for row in compared], skipped)


def predict(preset: DramPresetSpec, spec: DramSpec, trace: Trace) -> dict[str, int]:
    """Cycle of the last data beat and commands issued by then, by metric."""
    core = make_dram(preset, spec)
    size_bytes = np.full_like(trace.addresses_bytes, preset.burst_bytes)
    core.submit_many(trace.arrival_cycles, trace.addresses_bytes, size_bytes, trace.are_writes)
    cycles = int(core.drain()[:, 1].max())
    commands = core.commands(cycles)
    counts = (commands.activates, commands.reads, commands.writes, commands.refreshes)
    return dict(zip(METRICS, (cycles, *counts), strict=True))


class _Traces:
    """Traces of a folder, each read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, Trace] = {}

    def path(self, name: str) -> Path | None:
        """File of a trace; None when there is none."""
        if not name or Path(name).name != name:
            return None
        files = (self._folder / f"{name}{suffix}" for suffix in (".csv.gz", ".csv"))
        return next((file for file in files if file.is_file()), None)

    def get(self, name: str) -> Trace:
        """A trace that is there. Raises InvalidInput listing what is wrong with it."""
        if name not in self._read:
            path = self.path(name)
            assert path is not None
            self._read[name] = _read_trace(path)
        return self._read[name]


def _read_trace(path: Path) -> Trace:
    rows = read_golden(path, _TRACE_COLUMNS)
    arrivals = np.array([row.values["cycle_offset"] for row in rows], dtype=np.int64)
    backwards = np.flatnonzero(np.diff(arrivals) < 0)
    if len(backwards):
        message = "found an offset before that of the line above, expected ascending ones"
        raise InvalidInput(
            Problem(f"{path}:{rows[index + 1].line}", "cycle_offset", message) for index in backwards
        )
    return Trace(
        arrivals,
        np.array([row.values["addr_hex"] for row in rows], dtype=np.int64),
        np.array([row.values["op"] == "W" for row in rows]),
    )


def _name(row: GoldenRow) -> str:
    return "/".join(row.values[key] for key in ("simulator", "device", "mapping", "policy", "trace"))


def _controller(row: GoldenRow) -> tuple[str, str]:
    return row.values["simulator"], row.values["policy"].removesuffix(_NO_REFRESH)


def _reason_to_skip(row: GoldenRow, traces: _Traces) -> str:
    """Why a run cannot be predicted; empty when it can."""
    status = row.cells.get("status", "ok")
    if _controller(row) not in POLICIES:
        return "archsim has no such controller"
    if status != "ok":
        return f"the simulator gave no result ({status})"
    if traces.path(row.values["trace"]) is None:
        return "there is no such trace in traces/ beside the file"
    return ""


def _problems(path: Path, row: GoldenRow) -> list[Problem]:
    """What is wrong with a run that would be predicted."""
    where = f"{path}:{row.line}"
    problems = [
        Problem(where, key, f'found "{row.values[key]}", expected one of {", ".join(known)}')
        for key, known in (("device", PRESETS), ("mapping", MAPPINGS))
        if row.values[key] not in known
    ]
    return problems + [
        Problem(where, metric, "found nothing, expected a whole number")
        for metric in METRICS
        if row.values[metric] is None
    ]


def _compare(row: GoldenRow, traces: _Traces) -> RowComparison:
    preset = load_dram_preset(PRESETS[row.values["device"]])
    if row.values["policy"].endswith(_NO_REFRESH):
        timing = preset.timing.model_copy(update={"trefi": _NEVER_CYCLES})
        preset = preset.model_copy(update={"timing": timing})
    mapping = MAPPINGS[row.values["mapping"]]
    spec = DramSpec.model_validate({"address_mapping": mapping, **POLICIES[_controller(row)]})
    predicted = predict(preset, spec, traces.get(row.values["trace"]))
    return RowComparison(_name(row), {metric: row.values[metric] for metric in METRICS}, predicted)
