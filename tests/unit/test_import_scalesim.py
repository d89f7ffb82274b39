"""SCALE-Sim's own file formats: shapes as it counts them, and everything without counterpart said."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from archsim.api import load, simulate
from archsim.cli.main import cli
from archsim.config.load import load_arch
from archsim.errors import InvalidInput
from archsim.importing.result import ImportResult
from archsim.importing.scalesim import import_topology, read_topology
from archsim.importing.scalesim_config import import_config

HEADER = (
    "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n"
)
CHAINED = (
    HEADER
    + (
        "Conv1, 10, 12, 3, 3, 3, 8, 1,\n"  # writes 8x10x8
        "Conv2, 10, 12, 3, 3, 8, 16, 2,\n"  # 4.5 steps are counted as 5: 11x13, no border of 8x10; writes 5x6x16
        "Pooled, 2, 3, 2, 2, 16, 16, 1,\n"  # a pool that the topology does not have: a map of its own, writes 1x2x16
        "\n"
        "FC, 1, 2, 1, 2, 16, 10, 1,\n"
    )
)
GEMM = "Layer, M, N, K,\nfirst, 7, 5, 30,\nsecond, 7, 9, 5,\nother, 3, 4, 11,\n"
CFG = """[general]
run_name = scale_example

[architecture_presets]
ArrayHeight:    16
ArrayWidth:     8
IfmapSramSzkB:    64
FilterSramSzkB:   32
OfmapSramSzkB:    16
IfmapOffset:    0
FilterOffset:   10000000
OfmapOffset:    20000000
Bandwidth : 10
Dataflow : os
MemoryBanks:   1

[run_presets]
InterfaceBandwidth: CALC
"""


def topology(folder: Path, text: str) -> ImportResult:
    (folder / "net.csv").write_text(text)
    return import_topology(folder / "net.csv", folder / "net.yaml")


def test_shapes_are_those_that_scale_sim_counts(tmp_path: Path) -> None:
    result = topology(tmp_path, CHAINED)
    network = load(tmp_path / "net.yaml").network
    shapes = {
        layer.name: (str(layer.input_shape), layer.padding, str(layer.output_shape))
        for layer in network.layers
    }
    assert shapes == {
        "Conv1": ("10x12x3", (0, 0), "8x10x8"),
        "Conv2": ("11x13x8", (0, 0), "5x6x16"),
        "Pooled": ("2x3x16", (0, 0), "1x2x16"),
        "FC": ("1x2x16", (0, 0), "1x1x10"),
    }
    assert result.macs == 8 * 10 * 8 * 27 + 5 * 6 * 16 * 72 + 2 * 16 * 64 + 320
    assert network.layers[-1].op == "linear" and network.class_count == 10
    assert [layer.inputs for layer in network.layers] == [
        ("image",),
        ("Conv2:input",),
        ("Pooled:input",),
        ("Pooled",),
    ]
    assert network.results == {"Conv1", "Conv2"}
    assert [note.rpartition("lines ")[2] for note in result.notes[:2]] == ["3, 4)", "3)"]


def test_map_with_a_border_is_that_of_the_row_above(tmp_path: Path) -> None:
    topology(
        tmp_path, HEADER + "a, 10, 10, 3, 3, 3, 8, 1,\nb, 10, 10, 3, 3, 8, 4, 1\nc, 8, 8, 8, 8, 4, 2, 1,,\n"
    )
    second, third = load(tmp_path / "net.yaml").network.layers[1:]
    assert second.inputs == ("a",) and second.padding == (1, 1)
    assert third.op == "linear" and third.inputs == ("b",)


def test_matrix_products(tmp_path: Path) -> None:
    result = topology(tmp_path, GEMM)
    network = load(tmp_path / "net.yaml").network
    assert result.macs == 7 * 5 * 30 + 7 * 9 * 5 + 3 * 4 * 11
    assert [str(layer.input_shape) for layer in network.layers] == ["7x1x30", "7x1x5", "3x1x11"]
    assert network.results == {"second", "other"}


@pytest.mark.parametrize("text", [CHAINED, GEMM], ids=["convolutions", "products"])
def test_topologies_simulate_and_results_leave_for_dram(text: str, tmp_path: Path) -> None:
    topology(tmp_path, text)
    result = simulate(tmp_path / "net.yaml", arch="tpu-like-ws", engine="segment")
    network = load(tmp_path / "net.yaml").network
    written = {layer.name: layer.dram_write_bytes for layer in result.layers}
    burst = 64
    for name in network.results:
        size = network.by_name[name].output_shape.elements
        assert size <= written[name] < size + 2 * burst
    own = (
        sum(shape.elements for _, shape in network.own_inputs)
        + network.input_shape.elements
        + network.weights
    )
    assert result.dram_bytes_per_image.read >= own


def test_every_bad_cell_is_listed_by_line(tmp_path: Path) -> None:
    text = HEADER + "a, 10, x, 3, 3, 3, 8, 1,\nb, 2, 10, 3, 3, 8, 4, 1\nc, 8, 8, 8, 8, 4, 0, -1\nd, 8\n"
    (tmp_path / "net.csv").write_text(text)
    with pytest.raises(InvalidInput) as caught:
        read_topology(tmp_path / "net.csv")
    found = [
        line.removeprefix(f"{tmp_path}/net.csv:").split(":")[:2] for line in str(caught.value).splitlines()
    ]
    assert found[:4] == [["2", " ifmap width"], ["3", " b"], ["4", " num filter"], ["4", " strides"]]
    assert {line for line, _ in found[4:]} == {"5"} and len(found) == 10


@pytest.mark.parametrize(
    "text", ["", "a, b\n1, 2\n", HEADER, "\x00\n", "Layer, M, N, K,\nx, 1, 2, 99999999999,\n"]
)
def test_files_that_are_no_topologies(text: str, tmp_path: Path) -> None:
    (tmp_path / "net.csv").write_text(text)
    result = CliRunner().invoke(cli, ["import", str(tmp_path / "net.csv"), "-o", str(tmp_path / "net.yaml")])
    assert result.exit_code == 3 and not (tmp_path / "net.yaml").exists()


def test_configuration_becomes_an_architecture(tmp_path: Path) -> None:
    (tmp_path / "scale.cfg").write_text(CFG)
    result = import_config(tmp_path / "scale.cfg", tmp_path / "scale.yaml")
    arch = load_arch(tmp_path / "scale.yaml")
    assert (arch.pe_array.rows, arch.pe_array.cols, arch.pe_array.dataflow) == (16, 8, "output_stationary")
    assert (arch.global_buffer.size_kib, arch.global_buffer.filter_kib) == (112, 32)
    assert arch.global_buffer.port_bytes_per_cycle == 128  # 16 + 2 x 4 x 8 and more
    assert not arch.exits.enabled
    for word in ("ifmapoffset", "bandwidth", "memorybanks", "interfacebandwidth"):
        assert any(note.startswith(word) for note in result.notes)


def test_bad_values_of_a_configuration_are_listed(tmp_path: Path) -> None:
    (tmp_path / "scale.cfg").write_text(
        CFG.replace(": os", ": xs").replace("16", "0").replace("ArrayWidth:     8\n", "")
    )
    with pytest.raises(InvalidInput) as caught:
        import_config(tmp_path / "scale.cfg", tmp_path / "scale.yaml")
    text = str(caught.value)
    assert all(key in text for key in ("ArrayHeight", "ArrayWidth", "OfmapSramSzkB", "Dataflow"))
    assert not (tmp_path / "scale.yaml").exists()


@pytest.mark.parametrize("text", ["", "[other]\na: 1\n", "ArrayHeight: 3\n", "[architecture_presets\n"])
def test_files_that_are_no_configurations(text: str, tmp_path: Path) -> None:
    (tmp_path / "scale.cfg").write_text(text)
    result = CliRunner().invoke(
        cli, ["import", str(tmp_path / "scale.cfg"), "-o", str(tmp_path / "scale.yaml")]
    )
    assert result.exit_code == 3
