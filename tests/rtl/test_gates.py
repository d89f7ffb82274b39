"""Gate counts are what Yosys finds, and prices of gates what their sources say."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("amaranth")  # before the imports that need it

from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out

from archsim.config.load import load_arch
from archsim.rtl import gates
from archsim.rtl.gates import Gates, Silicon, gates_of, parse_gates
from archsim.rtl.overhead import SUPPORTING, Overhead
from archsim.rtl.units import make_unit

COUNTED = Path(__file__).resolve().parents[1] / "golden" / "rtl" / "gates.csv"
ROWS = {
    (row["unit"], row["lanes"]): row
    for row in csv.DictReader(COUNTED.read_text(encoding="utf-8").splitlines())
}


class Operator(Component):
    """A circuit that Horowitz gives the energy of."""

    def __init__(self, bits: int, is_multiplier: bool) -> None:
        self.bits, self.is_multiplier = bits, is_multiplier
        super().__init__({"a": In(bits), "b": In(bits), "y": Out(2 * bits if is_multiplier else bits)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        product = self.a.as_signed() * self.b.as_signed()
        m.d.comb += self.y.eq(product if self.is_multiplier else self.a + self.b)
        return m


def component_of(name: str, lanes: str) -> Any:
    operators = {"multiply_8": (8, True), "add_8": (8, False), "add_32": (32, False)}
    if name in operators:
        return Operator(*operators[name])
    unit, _, zero = name.partition(":")
    if zero:
        return make_unit(unit, load_arch("locoexnet-65nm", [f"pe_array.zero={zero}"]))
    keys = ("dbp_unit.lanes", "branch_unit.macs", "branch_unit.tap_lanes")
    return make_unit(name, load_arch("locoexnet-65nm", [f"{key}={lanes}" for key in keys if lanes]))


def check_row(name: str, lanes: str) -> None:
    row, found = ROWS[name, lanes], gates_of(component_of(name, lanes))
    # Another version of Yosys maps a little differently; flip-flops are those of the source.
    assert found.flip_flops == int(row["flip_flops"])
    assert found.logic == pytest.approx(float(row["logic_ge"]), rel=0.05)
    assert found.levels == pytest.approx(int(row["levels"]), rel=0.25)


def test_an_adder_has_the_gates_that_are_noted() -> None:
    check_row("add_8", "")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "lanes"), ROWS)
def test_every_unit_has_the_gates_that_are_noted(name: str, lanes: str) -> None:
    check_row(name, lanes)


def test_the_energy_of_a_gate_is_that_of_published_operations() -> None:
    published = {"multiply_8": 200, "add_8": 30, "add_32": 100}
    found = [energy_fj / float(ROWS[name, ""]["logic_ge"]) for name, energy_fj in published.items()]
    noted = list(gates._HOROWITZ_FJ_PER_EQUIVALENT)
    assert noted == pytest.approx(found, rel=0.001)
    prices = [
        gates.PJ_PER_EQUIVALENT,
        gates.PJ_PER_FLIP_FLOP,
        gates.UM2_PER_EQUIVALENT,
        gates.NW_PER_EQUIVALENT,
    ]
    assert prices == pytest.approx([0.82e-3, 0.0361, 9.36, 1.064], rel=0.003)


def test_gates_have_a_price() -> None:
    found = Silicon.of(Gates({"$_NAND_": 1000, "$_DFF_P_": 3}, 7, 0))
    assert found.cycle_pj == pytest.approx(1000 * gates.PJ_PER_EQUIVALENT + 3 * gates.PJ_PER_FLIP_FLOP)
    assert found.area_mm2 == pytest.approx(1017 * gates.UM2_PER_EQUIVALENT / 1e6)
    assert found.leakage_uw == pytest.approx(1.017 * gates.NW_PER_EQUIVALENT)


def test_a_cell_without_a_size_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"\$_TBUF_"):
        parse_gates('{"design": {"num_cells_by_type": {"$_TBUF_": 1}}}', "")


def test_the_table_of_an_accelerator() -> None:
    arch = load_arch("locoexnet-65nm")
    found = Overhead(arch, {"dbp_unit": Gates({"$_NAND_": 1000}, 7, 0)}, 100_000.0)
    (row,) = found.rows()
    assert (row["lanes"], row["GE"], row["levels"], row["of the PE array %"]) == (16, 1000, 7, 1.0)
    assert [row["cycles"] for row in found.classifier_rows()] == [320, 3200, 6400]
    assert [row["weights KiB"] for row in found.classifier_rows()] == [5, 50, 100]


def test_supporting_modules_are_added_up() -> None:
    one = {
        name: Gates({"$_NAND_": 1000, "$_DFF_P_": 3}, 7 + index, 0) for index, name in enumerate(SUPPORTING)
    }
    row = Overhead(load_arch("locoexnet-65nm"), one, 102_000.0).supporting_row()
    assert (row["lanes"], row["together GE"], row["of the PE array %"], row["levels"]) == (16, 3051, 2.99, 9)


def test_copies_of_a_circuit_have_its_levels() -> None:
    found = Gates({"$_NAND_": 10}, 7, 1) * 4
    assert (found.equivalents, found.levels, found.memories) == (40, 7, 4)
