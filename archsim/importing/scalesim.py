"""SCALE-Sim topologies (Samajdar et al., ISPASS 2020) as shape-only workloads.

A row is a convolution, or a matrix product. SCALE-Sim runs each on its own: maps come from DRAM and go to DRAM. Here a
row whose map is what the row above writes, padded or not, reads it from there; any other reads a map of its own from
DRAM. As in SCALE-Sim padding is part of the map, and a window that begins inside the map counts even where it ends
outside: the map is enlarged so that it fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsim.config.workload import Conv2dSpec, DatasetSpec, InputSpec, LayerSpec, LinearSpec, WorkloadSpec
from archsim.config.workload_file import write_workload
from archsim.errors import InvalidInput, Problem
from archsim.files import csv_lines
from archsim.importing.result import ImportResult
from archsim.importing.walk import Names, safe_name
from archsim.network.build import build_network
from archsim.network.graph import FINAL, IMAGE, Shape

MAX_TOPOLOGY_BYTES = 16 << 20
MAX_ROWS = 10_000
_MAX_SIDE = 1 << 16
_CONV = ("ifmap height", "ifmap width", "filter height", "filter width", "channels", "num filter", "strides")
_GEMM = ("m", "n", "k")
_NAMES = {"layer name": "layer", "layer": "layer", "num filters": "num filter", "stride": "strides",
          "stride height": "strides"}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One layer. shape: its map, enlarged so that the last windows fit. where: file:line."""

    where: str
    name: str
    shape: Shape
    kernel: tuple[int, int]
    filters: int
    stride: tuple[int, int]
    enlarged: bool

    @property
    def output(self) -> Shape:
        """What it writes."""
        height = (self.shape.height - self.kernel[0]) // self.stride[0] + 1
        width = (self.shape.width - self.kernel[1]) // self.stride[1] + 1
        return Shape(height, width, self.filters)


def import_topology(path: Path, target: Path) -> ImportResult:
    """Write the shape-only workload of a topology to ``target``; see docs/reference/import.md.

    Raises InvalidInput listing every row that is no layer, by line.
    """
    rows = read_topology(path)
    notes: list[str] = []
    layers, classes = _layers(rows, notes)
    spec = _spec(path, target, rows[0].shape, layers, classes)
    network, problems = build_network(spec.name, spec.input, classes, spec.layers, [], shape_only=True)
    if network is None:
        raise InvalidInput(Problem(str(path), key, message, hint) for key, message, hint in problems)
    try:
        write_workload(target, spec)
    except OSError as error:
        raise InvalidInput([Problem(str(target), "", f"cannot be written ({error.strerror})")]) from None
    return ImportResult(
        workload=spec.name,
        source=str(path),
        input=str(network.input_shape),
        classes=classes,
        layers=len(network.layers),
        parameters=network.weights,
        macs=network.macs,
        exits=(FINAL,),
        shape_only=True,
        notes=tuple(notes),
        files=(str(target),),
    )


def _spec(path: Path, target: Path, first: Shape, layers: list[LayerSpec], classes: int) -> WorkloadSpec:
    try:
        image = InputSpec(height=first.height, width=first.width, channels=first.channels)
        return WorkloadSpec(
            schema="archsim.workload/1",
            name=safe_name(target.stem),
            description=f"Imported from {path.name} (SCALE-Sim); shapes only",
            dataset=DatasetSpec(name="none, shapes only", classes=classes),
            input=image,
            layers=layers,
            branches=[],
        )
    except ValueError as error:
        raise InvalidInput([Problem(str(path), "", str(error).partition("\n")[0])]) from None


def read_topology(path: Path) -> list[Row]:
    """All rows. Raises InvalidInput listing every bad cell at file:line."""
    cells = [
        (number, [cell.strip() for cell in found]) for number, found in csv_lines(path, MAX_TOPOLOGY_BYTES)
    ]
    header = [_NAMES.get(cell.lower(), cell.lower()) for cell in cells[0][1]] if cells else []
    wanted = next((kind for kind in (_CONV, _GEMM) if all(name in header for name in kind)), None)
    if wanted is None or "layer" not in header:
        expected = ", ".join(("Layer name", *(name.title() for name in _CONV)))
        message = f"found no header of SCALE-Sim, expected {expected}; or Layer, M, N, K"
        raise InvalidInput([Problem(f"{path}:1", "", message)])
    problems: list[Problem] = []
    rows: list[Row] = []
    for number, line in cells[1:]:
        if not any(line):
            continue
        row = _row(f"{path}:{number}", dict(zip(header, line, strict=False)), wanted, problems)
        rows += [row] if row is not None else []
    if len(rows) > MAX_ROWS or not (rows or problems):
        problems.append(Problem(str(path), "", f"found {len(rows)} layers, expected 1 to {MAX_ROWS}"))
    if problems:
        raise InvalidInput(problems)
    return rows


def _row(
    where: str, cells: Mapping[str, str], wanted: tuple[str, ...], problems: list[Problem]
) -> Row | None:
    numbers: dict[str, int] = {}
    for name in (*wanted, *(("stride width",) if cells.get("stride width") else ())):
        text = cells.get(name, "")
        if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= _MAX_SIDE and len(text) < 9):
            message = f'found "{text}", expected an integer from 1 to {_MAX_SIDE}'
            problems.append(Problem(where, name, message))
        else:
            numbers[name] = int(text)
    if len(numbers) < len(wanted):
        return None
    name = safe_name(cells["layer"])
    if wanted == _GEMM:
        shape = Shape(numbers["m"], 1, numbers["k"])
        return Row(where, name, shape, (1, 1), numbers["n"], (1, 1), False)
    given = (numbers["ifmap height"], numbers["ifmap width"])
    kernel = (numbers["filter height"], numbers["filter width"])
    stride = (numbers["strides"], numbers.get("stride width", numbers["strides"]))
    if kernel[0] > given[0] or kernel[1] > given[1]:
        message = f"a filter of {kernel[0]}x{kernel[1]} is larger than its map of {given[0]}x{given[1]}"
        problems.append(Problem(where, name, message, "padding belongs to the map"))
        return None
    height, width = (
        -(-(side - window) // step) * step + window
        for side, window, step in zip(given, kernel, stride, strict=True)
    )
    shape = Shape(height, width, numbers["channels"])
    return Row(where, name, shape, kernel, numbers["num filter"], stride, (height, width) != given)


def _layers(rows: list[Row], notes: list[str]) -> tuple[list[LayerSpec], int]:
    """Entries of the workload, and its number of classes: that of a fully connected layer at the end, else 2."""
    layers: list[LayerSpec] = []
    own: list[str] = []
    padded: list[str] = []
    classes, previous, names = 2, None, Names(IMAGE, FINAL)
    for index, row in enumerate(rows):
        entry: dict[str, Any] = {"name": names.free(row.name)}
        padding = (0, 0) if previous is None else _padding(previous, row)
        if padding is None:
            entry["input_shape"] = (row.shape.height, row.shape.width, row.shape.channels)
            own.append(row.where)
        elif any(padding):
            padded.append(row.where)
        one_output = row.output.height * row.output.width == 1 and not (padding and any(padding))
        is_last = index == len(rows) - 1
        if one_output and (not is_last or 2 <= row.filters <= 1 << 15):
            layers.append(LinearSpec(op="linear", units=row.filters, **entry))
            classes = row.filters if is_last else classes
        else:
            options: dict[str, Any] = {
                "kernel": row.kernel,
                "stride": row.stride,
                "padding": padding or (0, 0),
            }
            layers.append(Conv2dSpec(op="conv2d", filters=row.filters, **options, **entry))
        previous = row.output
    _explain(rows, own, padded, notes)
    return layers, classes


def _padding(previous: Shape, row: Row) -> tuple[int, int] | None:
    """By how much the output of the row above is padded to be the map of this one; None where it cannot be."""
    rows, cols = row.shape.height - previous.height, row.shape.width - previous.width
    fits = row.shape.channels == previous.channels and rows % 2 == cols % 2 == 0
    if not fits or not (0 <= rows < row.kernel[0] and 0 <= cols < row.kernel[1]):
        return None
    return rows // 2, cols // 2


def _explain(rows: list[Row], own: list[str], padded: list[str], notes: list[str]) -> None:
    def lines(places: list[str]) -> str:
        return ", ".join(place.rpartition(":")[2] for place in places)

    if own:
        notes.append(f"maps that the row above does not write are read from DRAM (lines {lines(own)})")
    if padded:
        notes.append(f"maps that are those of the row above with a border are padded (lines {lines(padded)})")
    enlarged = [row.where for row in rows if row.enlarged]
    if enlarged:
        notes.append(
            f"maps are enlarged so that the last window fits, as SCALE-Sim counts (lines {lines(enlarged)})"
        )
    notes.append("the topology knows no pools, additions and zeros: none are simulated, no zero is skipped")
