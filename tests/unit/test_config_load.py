"""Files by name or path, extended and overridden, with the checks between values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from archsim.config.checks import fitting_core_clocks_mhz
from archsim.config.document import Document, merge
from archsim.config.extends import override
from archsim.config.load import (
    check_exits,
    config_hash,
    json_schema,
    load_arch,
    load_dram_preset,
    load_energy_table,
    load_workload,
    read_arch,
)
from archsim.config.yaml_io import parse_document
from archsim.errors import InvalidInput
from archsim.network.load import load_network
from archsim.registry import get_dataflow

PRESET = "locoexnet-65nm"


def messages(caught: pytest.ExceptionInfo[InvalidInput]) -> list[str]:
    return [str(problem) for problem in caught.value.problems]


def arch_problems(ref: str | Path, *overrides: str) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        load_arch(ref, overrides)
    return messages(caught)


@pytest.fixture
def workload_file(tmp_path: Path) -> Path:
    spec = {
        "schema": "archsim.workload/1",
        "name": "w",
        "dataset": {"name": "noise", "classes": 3},
        "input": {"height": 4, "width": 4, "channels": 1},
        "weights": "w.npz",
        "layers": [
            {"name": "c1", "op": "conv2d", "filters": 2, "kernel": 3},
            {"name": "fc", "op": "linear", "units": 3},
        ],
        "branches": [
            {"name": "early", "after": "c1", "layers": [{"name": "fc", "op": "linear", "units": 3}]}
        ],
    }
    (tmp_path / "w.npz").write_bytes(b"")
    path = tmp_path / "w.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    return path


def test_a_misspelt_name_lists_near_misses() -> None:
    assert arch_problems("locoexnt-65nm") == [
        f'locoexnt-65nm: no architecture is called "locoexnt-65nm", and no file (hint: did you mean "{PRESET}"?)'
    ]
    assert arch_problems("presets/locoexnet.yaml")[0].startswith("presets/locoexnet.yaml: no such file")
    with pytest.raises(InvalidInput, match='did you mean "ddr4-2400-x8"'):
        load_dram_preset("ddr4-2400-x4")
    with pytest.raises(InvalidInput, match="no energy table is called"):
        load_energy_table("90nm")


def test_overrides_change_what_they_name_and_nothing_else() -> None:
    plain, changed = load_arch(PRESET), load_arch(PRESET, ["pe_array.rows=8", "exits.early.threshold=700"])
    assert changed.pe_array.rows == 8
    assert changed.exits.thresholds == {"early": 700}
    assert changed.model_copy(update={"pe_array": plain.pe_array, "exits": plain.exits}) == plain
    assert load_arch(PRESET, ["pe_array.rows=8", "pe_array.rows=9"]).pe_array.rows == 9


def test_all_bad_overrides_are_listed_at_once() -> None:
    assert arch_problems(
        PRESET,
        "pe_aray.rows=8",
        "pe_array.rows",
        "rows=3",
        "pe_array.zero=skp",
        "a=[",
        "pe_array={a: 3}",
        "=3",
    ) == [
        "--set pe_array.rows: expected KEY=VALUE (hint: --set pe_array.rows=16)",
        "--set a=[: a: while parsing a flow node, expected the node content, but found '<stream end>'",
        "--set pe_array={a: 3}: pe_array: found a mapping, expected a value or a list",
        "--set =3: expected KEY=VALUE (hint: --set pe_array.rows=16)",
        '--set pe_array.zero=skp: pe_array.zero: found "skp", expected "none", "gate" or "skip" '
        '(hint: did you mean "skip"?)',
        '--set pe_aray.rows=8: pe_aray: unknown key (hint: did you mean "pe_array"?)',
        '--set rows=3: rows: unknown key (hint: did you mean "pe_array.rows"?)',
    ]


def test_overrides_reach_into_lists_and_stop_at_single_values() -> None:
    document = parse_document("layers: [{filters: 1}, {filters: 2}]\nname: x", Path("f.yaml"))
    changed, problems = override(document, ["layers.1.filters=9", "layers.2.filters=1", "name.x=1"])
    assert changed.data["layers"] == [{"filters": 1}, {"filters": 9}]
    assert document.data["layers"][1] == {"filters": 2}
    assert [problem.message for problem in problems] == [
        '"layers" has the entries 0 to 1, found "2"',
        '"name" is a single value, it has no key "x"',
    ]


def test_checks_between_values_point_to_what_was_set() -> None:
    assert arch_problems(
        PRESET,
        "clock.core_mhz=300",
        "global_buffer.filter_kib=108",
        "dma.chunk_bytes=520",
        "global_buffer.burst_bytes=16",
    ) == [
        "--set global_buffer.filter_kib=108: global_buffer.filter_kib: found 108, expected less than "
        "global_buffer.size_kib = 108 (hint: the rest holds feature maps and partial sums)",
        "--set global_buffer.burst_bytes=16: global_buffer.burst_bytes: found 16, expected at least "
        "global_buffer.port_bytes_per_cycle = 32 (hint: a burst fills the port)",
        "--set dma.chunk_bytes=520: dma.chunk_bytes: found 520, expected a multiple of 32, the burst of "
        "lpddr3-1600-x32",
        "--set clock.core_mhz=300: clock.core_mhz: found 300, expected a divisor of 800, the clock of "
        "lpddr3-1600-x32 in MHz (hint: the nearest that fit: 50, 80, 100, 160, 200, 400)",
    ]
    assert arch_problems(PRESET, "dram.preset=ddr3-1600", "energy_table=66nm") == [
        '--set energy_table=66nm: energy_table: no energy table is called "66nm", and no file '
        '(hint: did you mean "65nm"?)',
        '--set dram.preset=ddr3-1600: dram.preset: no DRAM preset is called "ddr3-1600", and no file '
        '(hint: did you mean "ddr3-1600-x8"?)',
    ]


@given(st.integers(1, 2000), st.integers(1, 3000))
def test_the_clocks_that_are_suggested_fit(dram_clock_mhz: int, core_mhz: int) -> None:
    clocks = fitting_core_clocks_mhz(dram_clock_mhz, core_mhz)
    assert clocks == sorted(set(clocks))
    assert all(dram_clock_mhz % clock == 0 for clock in clocks)
    if dram_clock_mhz % core_mhz == 0:
        assert core_mhz in clocks


def test_a_file_of_another_kind_is_one_problem(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text("schema: archsim.workload/1\nname: w\nlayers: 3\n")
    assert arch_problems(path) == [
        f'{path}:1:9: schema: found "archsim.workload/1", expected "archsim.arch/1"'
    ]


def test_extends_merges_mappings_and_keeps_every_position(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(
        "schema: archsim.arch/1\nname: base\ndescription: of base\npe_array: {rows: 3, cols: 0}\n"
    )
    top = tmp_path / "top.yaml"
    top.write_text(
        "schema: archsim.arch/1\nextends: base.yaml\nname: top\npe_array:\n  rows: 5\n  zeros: skip\n"
    )
    assert arch_problems(top) == [
        f'{top}:6:3: pe_array.zeros: unknown key (hint: did you mean "zero"?)',
        f"{tmp_path / 'base.yaml'}:4:27: pe_array.cols: found 0, expected an integer from 1 to 1024",
    ]
    arch = load_arch(
        write(top, "schema: archsim.arch/1\nextends: gated-rs\nname: top\npe_array: {rows: 5}\n")
    )
    gated = load_arch("gated-rs")
    assert arch.pe_array == gated.pe_array.model_copy(update={"rows": 5})
    assert (arch.name, arch.description) == ("top", "")


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_extends_that_cannot_be_followed(tmp_path: Path) -> None:
    head = "schema: archsim.arch/1\nname: x\nextends: "
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    write(second, head + "first.yaml\n")
    assert arch_problems(write(first, head + "second.yaml\n")) == [
        f"{second}:3:10: extends: the files extend each other: first.yaml -> second.yaml -> first.yaml"
    ]
    assert arch_problems(write(first, head + "absent.yaml\n")) == [
        f"{first}:3:10: extends: no such file: {tmp_path / 'absent.yaml'}"
    ]
    assert arch_problems(write(first, head + "gated\n")) == [
        f'{first}:3:10: extends: no architecture is called "gated", and no file (hint: did you mean "gated-rs"?)'
    ]
    assert arch_problems(write(first, head + "[a]\n"))[0].startswith(
        f"{first}:3:10: extends: found a list, expected the"
    )
    assert arch_problems(write(first, "extends: gated-rs\nname: x\n")) == [
        f'{first}:1:1: schema: missing, expected "archsim.arch/1"'
    ]
    write(second, "schema: archsim.dram/1\nname: d\n")
    assert arch_problems(write(first, head + "second.yaml\n")) == [
        f'{first}:3:10: extends: {second} is of schema "archsim.dram/1", this file of "archsim.arch/1"'
    ]


trees = st.recursive(
    st.integers(0, 9) | st.lists(st.integers(0, 9), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
roots = st.dictionaries(st.sampled_from("abc"), trees, min_size=1, max_size=3)


def leaves(data: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if not isinstance(data, dict):
        return {path: data}
    return {key: value for name, inner in data.items() for key, value in leaves(inner, (*path, name)).items()}


@given(roots, roots)
def test_a_merge_keeps_all_of_the_top_and_marks_exactly_what_it_holds(base: Any, top: Any) -> None:
    documents = [parse_document(yaml.safe_dump(data), Path(name)) for data, name in ((base, "b"), (top, "t"))]
    merged = merge(*documents)
    found = leaves(merged.data)
    assert leaves(top).items() <= found.items()
    assert all(
        found[path] == value
        for path, value in leaves(base).items()
        if path in found and path not in leaves(top)
    )
    assert {path for path in merged.marks if path} == set(every_path(merged))
    assert merge(documents[1], documents[1]).data == top


def every_path(document: Document) -> list[tuple[str, ...]]:
    def inside(data: Any, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        entries = (
            data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else []
        )
        return [
            found
            for key, value in entries
            for found in [(*path, str(key)), *inside(value, (*path, str(key)))]
        ]

    return inside(document.data, ())


def test_a_dram_preset_of_ones_own_is_relative_to_the_file_that_names_it(tmp_path: Path) -> None:
    write(tmp_path / "mine.yaml", "schema: archsim.dram/1\nname: mine\nsource: me\nextends: ddr3-1600-x8\n")
    top = write(
        tmp_path / "top.yaml",
        "schema: archsim.arch/1\nname: top\nextends: gated-rs\ndram: {preset: mine.yaml}\n",
    )
    arch = load_arch(top)
    assert Path(arch.dram.preset) == (tmp_path / "mine.yaml").resolve()
    assert load_dram_preset(arch.dram.preset).name == "mine"


def test_the_hash_tells_configurations_apart_and_not_ways_of_writing_them(tmp_path: Path) -> None:
    first = write(tmp_path / "a.yaml", "schema: archsim.arch/1\nname: a\npe_array: {rows: 12}\n")
    second = write(tmp_path / "b.yaml", "# the same\nname: a\n\nschema: 'archsim.arch/1'\n")
    assert config_hash(load_arch(first)) == config_hash(load_arch(second))
    changed = config_hash(load_arch(second, ["exits.e.threshold=1"]))
    assert len(changed) == 64
    assert changed != config_hash(load_arch(second))


def test_json_schemas_accept_extends() -> None:
    schema = json_schema("arch")
    assert schema["properties"]["extends"]["type"] == "string"
    assert schema["properties"]["schema"]["const"] == "archsim.arch/1"
    assert {"required": ["extends", "name", "schema"]} in schema["anyOf"]
    assert json_schema("workload")["additionalProperties"] is False
    with pytest.raises(InvalidInput, match='did you mean "workload"'):
        json_schema("workloads")


def test_a_workload_and_its_files(workload_file: Path, tmp_path: Path) -> None:
    loaded = load_workload(workload_file)
    assert loaded.weights_paths == (tmp_path / "w.npz",)
    assert (loaded.images_path, loaded.trace_paths) == (None, ())
    network = load_network(loaded)
    assert [str(layer.output_shape) for layer in network.layers] == ["2x2x2", "1x1x3"]


def test_files_of_a_workload_stay_in_its_folder(workload_file: Path, tmp_path: Path) -> None:
    outside = tmp_path.parent / "outside.npz"
    outside.write_bytes(b"")
    (tmp_path / "link.npz").symlink_to(outside)
    for name in ("../outside.npz", str(outside), "link.npz"):
        with pytest.raises(InvalidInput) as caught:
            load_workload(workload_file, [f"weights={name}"])
        assert messages(caught) == [
            f'--set weights={name}: weights: found "{name}", expected a file inside the folder of the workload '
            "(hint: give it relative to the workload file, without ..)"
        ]
    with pytest.raises(InvalidInput) as caught:
        load_workload(workload_file, ["weights=ww.npz", "images=i.npy"])
    assert messages(caught) == [
        f'--set weights=ww.npz: weights: no such file: {tmp_path / "ww.npz"} (hint: did you mean "w.npz"?)',
        f"--set images=i.npy: images: no such file: {tmp_path / 'i.npy'}",
    ]


def test_an_extended_workload_finds_the_files_of_its_base(workload_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    text = "schema: archsim.workload/1\nname: v\nextends: ../w.yaml\nbranches: []\n"
    loaded = load_workload(write(folder / "v.yaml", text))
    assert loaded.weights_paths[0].resolve() == (tmp_path / "w.npz").resolve()
    assert loaded.spec.branches == []


def test_layers_that_do_not_fit_are_reported_in_the_file(workload_file: Path) -> None:
    text = workload_file.read_text().replace("kernel: 3", "kernel: 9")
    workload_file.write_text(text)
    line = text.split("\n").index("- name: c1") + 1
    with pytest.raises(InvalidInput) as caught:
        load_network(load_workload(workload_file))
    assert messages(caught) == [
        f"{workload_file}:{line}:3: layers.0: kernel 9x9 is larger than its padded input 4x4x1"
    ]


def test_exits_of_an_accelerator_are_branches_of_the_network(workload_file: Path) -> None:
    network = load_network(load_workload(workload_file))
    check_exits(load_arch(PRESET, ["exits.early.threshold=3", "dbp.early.min_sum=3"]), network)
    overrides = ["exits.eraly.threshold=3", "exits.zzz.threshold=4", "dbp.erly.max_sum=5"]
    loaded = read_arch(PRESET, overrides)
    with pytest.raises(InvalidInput) as caught:
        check_exits(loaded.spec, network, loaded.document)
    assert messages(caught) == [
        '--set exits.eraly.threshold=3: exits.eraly: "w" has no branch of this name (hint: did you mean "early"?)',
        '--set exits.zzz.threshold=4: exits.zzz: "w" has no branch of this name (hint: allowed: early)',
        '--set dbp.erly.max_sum=5: dbp.erly: "w" has no branch of this name (hint: did you mean "early"?)',
    ]
    with pytest.raises(InvalidInput, match=f"^architecture {PRESET}: exits.eraly"):
        check_exits(load_arch(PRESET, overrides), network)


def test_dataflows_that_are_not_there_name_those_that_are() -> None:
    assert type(get_dataflow("row_stationary")).__name__ == "RowStationary"
    with pytest.raises(InvalidInput, match="expected a dataflow that is available: input_stationary"):
        get_dataflow("row_stationery")
