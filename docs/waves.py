"""Draws the timing diagrams of ``docs/explanation/rtl.md``: every line is what a twin does in a simulation.

``python docs/waves.py`` runs a short scene on each unit in RTL (extra ``rtl``) and writes its signals as
``docs/explanation/rtl/UNIT.svg``. A test runs the scenes and asserts that the pictures stay as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "explanation" / "rtl"
NAME_WIDTH, CYCLE_WIDTH, ROW_HEIGHT, WAVE_HEIGHT, TOP, SLOPE = 130, 34, 26, 16, 22, 4
INPUT_COLOUR, OUTPUT_COLOUR, GRID_COLOUR = "#0072B2", "#111111", "#DDDDDD"

Drive = Callable[[int], dict[str, int]]


@dataclass(frozen=True)
class Line:
    """A signal of a diagram: bit ``bit`` of it, or its number where ``bit`` is None; shown while ``valid`` is 1."""

    signal: str
    bit: int | None = None
    is_bus: bool = False
    valid: str = ""
    is_signed: bool = False


@dataclass(frozen=True)
class Scene:
    """A unit, what it is given in each cycle, and what of it is drawn."""

    unit: Any
    cycles: int
    drive: Drive
    lines: Sequence[Line]


def bit(signal: str, number: int | None = None) -> Line:
    """A wire."""
    return Line(signal, number)


def bus(signal: str, valid: str = "", is_signed: bool = False) -> Line:
    """A number."""
    return Line(signal, None, True, valid, is_signed)


def record(scene: Scene) -> list[dict[str, int]]:
    """Every signal of the scene in every cycle, by the simulator of Amaranth."""
    from amaranth.sim import Simulator

    rows: list[dict[str, int]] = []
    names = {name for line in scene.lines for name in (line.signal, line.valid) if name}

    async def bench(context: Any) -> None:
        for cycle in range(scene.cycles):
            for name, value in scene.drive(cycle).items():
                context.set(getattr(scene.unit, name), value)
            rows.append({name: int(context.get(getattr(scene.unit, name))) for name in names})
            await context.tick()

    simulator = Simulator(scene.unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return rows


def values_of(scene: Scene, line: Line, rows: list[dict[str, int]]) -> list[int | None]:
    """What is drawn of a line, None: nothing."""
    width = len(getattr(scene.unit, line.signal))
    found: list[int | None] = []
    for row in rows:
        value = row[line.signal]
        if line.bit is not None:
            value = value >> line.bit & 1
        if line.is_signed and value >> (width - 1) & 1:
            value -= 1 << width
        found.append(None if line.valid and not row[line.valid] else value)
    return found


def draw(scene: Scene) -> str:
    """The diagram as SVG."""
    rows = record(scene)
    width = NAME_WIDTH + CYCLE_WIDTH * scene.cycles + 12
    height = TOP + ROW_HEIGHT * len(scene.lines) + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' font-family="DejaVu Sans, Arial, sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#FFFFFF"/>',
    ]
    for cycle in range(scene.cycles):
        x = NAME_WIDTH + CYCLE_WIDTH * cycle
        parts.append(f'<path d="M{x} {TOP - 4}V{height - 4}" stroke="{GRID_COLOUR}"/>')
        parts.append(
            f'<text x="{x + CYCLE_WIDTH // 2}" y="13" text-anchor="middle" fill="#666666">{cycle}</text>'
        )
    inputs = {name for name, member in scene.unit.signature.members.items() if member.flow.name == "In"}
    for place, line in enumerate(scene.lines):
        y = TOP + ROW_HEIGHT * place
        colour = INPUT_COLOUR if line.signal in inputs else OUTPUT_COLOUR
        name = escape(line.signal + ("" if line.bit is None else f"[{line.bit}]"))
        parts.append(
            f'<text x="{NAME_WIDTH - 10}" y="{y + 13}" text-anchor="end" fill="{colour}">{name}</text>'
        )
        wave = bus_wave if line.is_bus else bit_wave
        parts += wave(values_of(scene, line, rows), y, colour)
    return "\n".join([*parts, "</svg>", ""])


def bit_wave(values: list[int | None], y: int, colour: str) -> list[str]:
    """A wire that is low or high."""
    levels = [y + (0 if value else WAVE_HEIGHT) for value in values]
    path = f"M{NAME_WIDTH} {levels[0]}"
    for cycle, level in enumerate(levels):
        x = NAME_WIDTH + CYCLE_WIDTH * cycle
        if cycle and level != levels[cycle - 1]:
            path += f"H{x - SLOPE // 2}L{x + SLOPE // 2} {level}"
    path += f"H{NAME_WIDTH + CYCLE_WIDTH * len(values)}"
    return [f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>']


def bus_wave(values: list[int | None], y: int, colour: str) -> list[str]:
    """Numbers in boxes, one for as long as it stays; a line where there is none."""
    parts, start, middle, bottom = [], 0, y + WAVE_HEIGHT // 2, y + WAVE_HEIGHT
    for cycle in range(1, len(values) + 1):
        if cycle < len(values) and values[cycle] == values[start]:
            continue
        left, right, value = NAME_WIDTH + CYCLE_WIDTH * start, NAME_WIDTH + CYCLE_WIDTH * cycle, values[start]
        if value is None:
            parts.append(f'<path d="M{left} {middle}H{right}" stroke="{colour}" stroke-dasharray="2 3"/>')
        else:
            shape = f"M{left} {middle}L{left + SLOPE} {y}H{right - SLOPE}L{right} {middle}L{right - SLOPE} {bottom}"
            parts.append(f'<path d="{shape}H{left + SLOPE}Z" fill="#EFF4F8" stroke="{colour}"/>')
            parts.append(
                f'<text x="{(left + right) // 2}" y="{y + 12.5}" text-anchor="middle" font-size="10">{value}</text>'
            )
        start = cycle
    return parts


# --- The scenes -----------------------------------------------------------------------------------------------------


def side_by_side(values: Sequence[int], bits: int) -> int:
    """Numbers in one word, the first in the lowest bits."""
    return sum((value & ((1 << bits) - 1)) << (bits * place) for place, value in enumerate(values))


def at(table: dict[int, dict[str, int]], *, always: dict[str, int]) -> Drive:
    """Inputs of single cycles; what else a table names is 0 in all others."""
    resting = {name: 0 for row in table.values() for name in row}
    return lambda cycle: {**resting, **always, **table.get(cycle, {})}


def dbp_unit() -> Scene:
    """Two lanes; a tensor of five values in three groups, decided with a bound that it just reaches."""
    from archsim.rtl.dbp_unit import SUM_BITS, DbpUnit

    def group(values: Sequence[int], last: int = 0) -> dict[str, int]:
        keep, word = (1 << len(values)) - 1, side_by_side(values, 8)
        return {"group_valid": 1, "group_last": last, "group_keep": keep, "group_values": word}

    table = {1: group([7, 20]), 2: group([1, 2]), 4: group([30], 1), 6: group([5], 1)}
    bounds = {"min_sum": 60, "max_sum": (1 << SUM_BITS) - 1}
    lines = [bit("group_valid"), bit("group_last"), bus("magnitude_sum"), bit("decided"), bit("run")]
    return Scene(DbpUnit(2, 8, 1), 11, at(table, always=bounds), lines)


def branch_unit() -> Scene:
    """Two lanes, two words of sums, two logits: 2 x 9 + 3 x 4 and 5 x 3 + 1 x 7; the margin is the threshold."""
    from archsim.rtl.branch_unit import BranchUnit

    unit = BranchUnit(2, 8, 8, 32, 5)
    weights = [side_by_side(word, 8) for word in ([2, 0], [0, 3], [0, 5], [1, 0])]
    sums = {1: (0, [9, 3]), 2: (1, [7, 4])}

    def drive(cycle: int) -> dict[str, int]:
        found = {"words": 2, "units": 2, "weight_words": 4, "threshold": 8, "group_valid": 0, "group_last": 0}
        found |= {"request": cycle == 2, "weight_data": weights[min(max(cycle - 4, 0), 3)]}
        if cycle in sums:
            word, values = sums[cycle]
            found |= {"group_valid": 1, "group_last": cycle == 2, "group_word": word, "group_keep": 3,
                      "group_values": side_by_side(values, 8)}  # fmt: skip
        return found

    lines = [bit("group_valid"), bit("group_last"), bit("request"), bit("issue"), bus("weight_address", "issue"),
             bit("decided"), bit("leave"), bus("prediction", "decided"), bus("margin", "decided")]  # fmt: skip
    return Scene(unit, 14, drive, lines)


def exit_controller() -> Scene:
    """Three layers; DBP lets the branch behind the first run, the image leaves while the second layer runs."""
    from archsim.rtl.exit_controller import ExitController

    table: dict[int, dict[str, int]] = {
        1: {"start": 1},
        4: {"layer_done": 1},
        6: {"dbp_decided": 1, "dbp_run": 1},
        10: {"branch_decided": 1, "branch_leave": 1},
    }
    always = {"steps": 3, "judges": 1, "decides": 1, "memory_quiet": 1}
    names = (
        "start",
        "layer_done",
        "judge",
        "dbp_decided",
        "evaluate",
        "branch_decided",
        "abort",
        "dispatch",
        "done",
    )
    return Scene(ExitController(3, True), 15, at(table, always=always), [bit(name) for name in names])


def requantiser() -> Scene:
    """One lane: halves are rounded up, what does not fit 8 bits is clamped."""
    from archsim.rtl.requantiser import Requantiser

    table = {cycle: {"valid": 1, "accumulators": value & 0xFFFFFFFF}
             for cycle, value in ((1, 3), (2, 508), (4, -3), (5, 600))}  # fmt: skip
    always = {"multipliers": 1 << 30, "shifts": 31}
    lines = [
        bit("valid"),
        bus("accumulators", "valid", is_signed=True),
        bit("out_valid"),
        bus("out_values", "out_valid"),
    ]
    return Scene(Requantiser(1, 32), 9, at(table, always=always), lines)


def buffer_port() -> Scene:
    """8 bytes a cycle in bursts of 16: client 0 wants 40 bytes, client 2 24, client 1 8 a little later."""
    from archsim.rtl.buffer_port import BYTES_BITS, BufferPort

    table = {
        1: {"submit_valid": 0b101, "submit_bytes": side_by_side([40, 0, 24], BYTES_BITS)},
        3: {"submit_valid": 0b010, "submit_bytes": side_by_side([0, 8, 0], BYTES_BITS)},
    }
    lines = [*(bit("submit_valid", client) for client in range(3)), bus("owner", "is_moving"),
             bus("moved_bytes", "is_moving"), *(bit("done", client) for client in range(3))]  # fmt: skip
    return Scene(BufferPort(8, 16, 3, 2), 13, at(table, always={}), lines)


def processing_element() -> Scene:
    """Two filters on windows of three words, one of them zero and skipped; the third column of outputs waits."""
    from archsim.rtl.processing_element import ProcessingElement

    words = {0: 4, 1: 0, 2: 5, 3: 6, 18: 2}
    weights = [1, 2, 3, -1, 2, 1]
    held = [0]

    def drive(cycle: int) -> dict[str, int]:
        if cycle in words:
            held[0] = words[cycle]
        return {"start": cycle == 0, "clear_filters": 1, "window": 3, "slide": 1, "filters": 2, "psum_taken": 1,
                "running": cycle >= 6, "word_valid": cycle in words, "word": held[0],
                "filter_valid": cycle < 6, "filter": weights[min(cycle, 5)] & 0xFF}  # fmt: skip

    lines = [bit("word_valid"), bus("word", "word_valid"), bit("running"), bit("has_window"), bit("executes"),
             bit("psum_valid"), bus("psum", "psum_valid", is_signed=True)]  # fmt: skip
    return Scene(ProcessingElement(6, 6, 2, (8, 8, 32), "skip"), 27, drive, lines)


def pe_array() -> Scene:
    """2 x 2 PEs, a filter of 2 x 2, three columns of outputs; the port is late with the fill."""
    from archsim.rtl.pe_array import ROW_BITS, PeArray

    unit = PeArray(2, 2, (3, 2), 0, (8, 4, 1), (8, 8, 32), "gate")
    maps = [[1, 2, 0, 4], [0, 1, 3, 2], [5, 0, 1, 1]]
    weights = [[1, 2], [-1, 3]]

    def drive(cycle: int) -> dict[str, int]:
        found = {"window": 2, "slide": 1, "filters": 1, "weights": 2, "stride": 1, "out_rows": 2, "outputs": 3,
                 "drain_cycles": 2, "new_filters": 1, "tile_ready": cycle == 1, "port_done": cycle != 3,
                 "word_valid": 0, "filter_valid": 0}  # fmt: skip
        column = {1: 0, 2: 1, 4: 2, 5: 3}.get(cycle)
        if column is not None:
            found |= {"word_valid": 7, "word_rows": side_by_side([0, 1, 2], ROW_BITS),
                      "words": side_by_side([row[column] for row in maps], 8)}  # fmt: skip
        if cycle in (1, 2):
            found |= {"filter_valid": 3, "filter_rows": side_by_side([0, 1], ROW_BITS),
                      "filter_words": side_by_side([row[cycle - 1] for row in weights], 8)}  # fmt: skip
        return found

    lines = [bit("tile_ready"), bit("port_done"), bit("filling"), bit("computing"), bit("draining"),
             bus("macs", "computing"), bus("gated", "computing"),
             bit("psum_valid", 0), bit("psum_valid", 1)]  # fmt: skip
    return Scene(unit, 18, drive, lines)


SCENES: dict[str, Callable[[], Scene]] = {
    scene.__name__: scene
    for scene in (
        dbp_unit,
        branch_unit,
        exit_controller,
        requantiser,
        buffer_port,
        processing_element,
        pe_array,
    )
}
"""One a unit."""


def main() -> int:
    """Write all pictures."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in SCENES.items():
        (FOLDER / f"{name}.svg").write_text(draw(make()), encoding="utf-8")
        sys.stdout.write(f"wrote {FOLDER / name}.svg\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
