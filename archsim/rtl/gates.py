"""Gates of a unit: Yosys maps it to a generic cell library; gate equivalents and levels follow."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from archsim.rtl.requantiser import Requantiser
from archsim.rtl.verilog import rtlil_of, run_yosys

if TYPE_CHECKING:
    from amaranth.lib.wiring import Component

FLIP_FLOP = "$_DFF_P_"
MEMORY = "$mem_v2"
EQUIVALENTS: Mapping[str, float] = {
    "$_NOT_": 2 / 3,
    "$_NAND_": 1.0,
    "$_NOR_": 1.0,
    "$_AND_": 4 / 3,
    "$_OR_": 4 / 3,
    "$_XOR_": 2.0,
    "$_XNOR_": 2.0,
    "$_AOI3_": 4 / 3,
    "$_OAI3_": 4 / 3,
    "$_MUX_": 7 / 3,
    FLIP_FLOP: 17 / 3,
}
"""Size of a cell in NAND2 gates: widths of the smallest cells of the NanGate 45 nm Open Cell Library, 1.4 um high, over
those 0.57 um of NAND2_X1 (INV_X1 0.38, NOR2_X1 0.57, AND2_X1, OR2_X1, AOI21_X1, OAI21_X1 0.76, XOR2_X1, XNOR2_X1 1.14,
MUX2_X1 1.33, DFF_X1 3.23): Nangate45_stdcell.lef in test/Nangate45 of github.com/The-OpenROAD-Project/OpenROAD."""

_CELLS = "AND,NAND,OR,NOR,XOR,XNOR,MUX,AOI3,OAI3"
_SCRIPT = (
    "read_rtlil unit.il; hierarchy -top unit; proc; flatten; opt; wreduce; memory_collect; alumacc; opt; techmap; opt; "
    f"dfflegalize -cell {FLIP_FLOP} 01; opt_expr; opt_clean; abc {{effort}} -g {_CELLS}; opt_clean; "
    "tee -q -o stat.json stat -json; tee -q -o path.txt ltp -noff"
)
_PLAIN = "-script +strash;dretime;map"
"""Maps without looking for equal functions, which takes hours on a multiplier of 32 x 31 bits. An 8-bit multiplier has
624 gate equivalents in place of 569 then."""


@dataclass(frozen=True)
class Gates:
    """What a unit consists of.

    cells: how many by type. levels: cells on the longest path between flip-flops or ports. Memories are counted by
    their number and left out of everything else: they are macros of their own.
    """

    cells: Mapping[str, int]
    levels: int
    memories: int

    def __mul__(self, copies: int) -> Gates:
        """Of so many equal circuits side by side."""
        return Gates(
            {cell: copies * count for cell, count in self.cells.items()}, self.levels, copies * self.memories
        )

    @property
    def flip_flops(self) -> int:
        """One bit each."""
        return self.cells.get(FLIP_FLOP, 0)

    @property
    def logic(self) -> float:
        """Gate equivalents of everything that is no flip-flop."""
        return sum(EQUIVALENTS[cell] * count for cell, count in self.cells.items() if cell != FLIP_FLOP)

    @property
    def equivalents(self) -> float:
        """NAND2 gate equivalents."""
        return self.logic + EQUIVALENTS[FLIP_FLOP] * self.flip_flops


def gates_of(unit: Component) -> Gates:
    """Synthesise a unit. Takes seconds to minutes. Raises MissingExtra("rtl") where there is no Yosys.

    A requantiser is counted lane by lane and mapped with less effort: a tenth too large.
    """
    rtlil = rtlil_of(unit, "unit")
    if isinstance(unit, Requantiser):
        return _synthesised(rtlil_of(Requantiser(1, unit.psum_bits), "unit"), _PLAIN) * unit.lanes
    return _synthesised(rtlil, "")


@lru_cache(maxsize=64)
def _synthesised(rtlil: str, effort: str) -> Gates:
    files = run_yosys(_SCRIPT.format(effort=effort), {"unit.il": rtlil})
    return parse_gates(files["stat.json"], files["path.txt"])


def parse_gates(statistics: str, path: str) -> Gates:
    """From Yosys' ``stat -json`` and ``ltp``. Raises ValueError for a cell without a size.

    >>> text = '{"design": {"num_cells_by_type": {"$_NAND_": 3, "$_DFF_P_": 2, "$mem_v2": 1}}}'
    >>> found = parse_gates(text, "Longest topological path in unit (length=2):")
    >>> found.logic, round(found.equivalents, 2), found.flip_flops, found.levels, found.memories
    (3.0, 14.33, 2, 2, 1)
    """
    cells: dict[str, int] = json.loads(statistics)["design"]["num_cells_by_type"]
    cells.pop("$scopeinfo", None)
    memories = cells.pop(MEMORY, 0)
    unknown = sorted(cells.keys() - EQUIVALENTS.keys())
    if unknown:
        raise ValueError(f"cells without a size in gate equivalents: {', '.join(unknown)}")
    length = re.search(r"length=(\d+)", path)
    return Gates(cells, int(length[1]) if length else 0, memories)


@dataclass(frozen=True)
class Silicon:
    """What gates cost in an energy table's process at 65 nm, 1.0 V; see the constants below.

    area_mm2: of logic and flip-flops, as densely packed as on Eyeriss. cycle_pj: of a cycle in which every flip-flop is
    written and read and all logic works on new operands. leakage_uw: an order of magnitude.
    """

    area_mm2: float
    cycle_pj: float
    leakage_uw: float

    @classmethod
    def of(cls, gates: Gates) -> Silicon:
        """Of the gates of a unit, without its memories."""
        return cls(
            gates.equivalents * UM2_PER_EQUIVALENT / 1e6,
            gates.logic * PJ_PER_EQUIVALENT + gates.flip_flops * PJ_PER_FLIP_FLOP,
            gates.equivalents * NW_PER_EQUIVALENT / 1e3,
        )


UM2_PER_EQUIVALENT = (3500**2 - 181.5 * 1024 * 6.68) / 1_176_000
"""Eyeriss (JSSC 52(1), 2017): core 3.5 x 3.5 mm less 181.5 KiB of SRAM at 6.68 um2 a byte (CACTI 7), over 1,176 k NAND2
gates: 9.4 um2, wires, clock and gaps included. The cells alone are some 1.7 um2 (NanGate 45 nm, 0.798 um2, scaled)."""
NW_PER_EQUIVALENT = 0.0045 * 278e6 / 1_176_000
"""Eyeriss: 0.45 % of 278 mW leaks (efficiency at two supplies, see ``leakage_logic`` of the 65 nm table): 1.06 nW."""
PJ_PER_FLIP_FLOP = 2 * 0.009 * (65 / 40) * (1.0 / 0.9) ** 2
"""Written and read: Aladdin 40 nm, 0.009 pJ a register bit, scaled: 0.036 pJ."""
_HOROWITZ_FJ_PER_EQUIVALENT = (200 / 568.7, 30 / 49.3, 100 / 221.3)
"""8-bit multiply and 8- and 32-bit add (Horowitz, ISSCC 2014: 0.2, 0.03 and 0.1 pJ at 45 nm and 0.9 V) over the gates
of the same circuits, synthesised as the units are: 0.35, 0.61 and 0.45 fJ."""
PJ_PER_EQUIVALENT = math.prod(_HOROWITZ_FJ_PER_EQUIVALENT) ** (1 / 3) / 1e3 * (65 / 45) * (1.0 / 0.9) ** 2
"""Of logic that works on new operands: their geometric mean, scaled; 0.82 fJ, one third more or less."""
