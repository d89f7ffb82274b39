"""Energy and area reference tables of Accelergy, written and read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from archsim.cli.main import cli
from archsim.config.load import load_energy_table
from archsim.counters import ACTIONS
from archsim.energy.accelergy import import_tables
from archsim.energy.area import area_of
from archsim.errors import InvalidInput
from tests.unit.energy_cases import DRAM, GOLDEN, TABLE, arch, eyeriss, resolved

EYERISS_LIKE = GOLDEN.parent / "accelergy" / "eyeriss_like.ERT.yaml"


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, ["energy", *map(str, words)])


def test_what_is_exported_and_imported_costs_the_same(tmp_path: Path) -> None:
    exported = run("export", "--arch", "locoexnet-65nm", "--out", tmp_path)
    assert exported.exit_code == 0, exported.stderr
    ert, art, mine = (tmp_path / name for name in ("ERT.yaml", "ART.yaml", "mine.yaml"))
    imported = run("import", ert, "--art", art, "--out", mine, "--json")
    assert imported.exit_code == 0, imported.stderr
    report = json.loads(imported.stdout)
    assert (len(report["taken"]), report["from_base"], report["ignored"]) == (len(ACTIONS), [], [])
    table = load_energy_table(mine)
    assert resolved(table=table).energy_pj == pytest.approx(resolved().energy_pj, rel=1e-12)
    assert area_of(arch(), table).by_component == pytest.approx(area_of(arch(), TABLE).by_component)


def test_the_exported_form_is_that_of_accelergy(tmp_path: Path) -> None:
    assert run("export", "--arch", "eyeriss-65nm", "--out", tmp_path).exit_code == 0
    ert = yaml.safe_load((tmp_path / "ERT.yaml").read_text())["ERT"]
    names = [entry["name"] for entry in ert["tables"]]
    assert ert["version"] == 0.4 and names[0] == "eyeriss-65nm.dram"
    mac = next(
        action
        for entry in ert["tables"]
        if entry["name"] == "eyeriss-65nm.pe_array"
        for action in entry["actions"]
        if action["name"] == "mac"
    )
    assert set(mac) == {"name", "arguments", "energy"}
    art = yaml.safe_load((tmp_path / "ART.yaml").read_text())["ART"]
    areas_um2 = {entry["name"]: entry["area"] for entry in art["tables"]}
    assert areas_um2["eyeriss-65nm.global_buffer"] == pytest.approx(108 * 1024 * 6.68)


def test_an_ert_of_the_exercises() -> None:
    widths = {"DRAM": 64, "shared_glb": 64}
    found = import_tables(EYERISS_LIKE, None, TABLE, eyeriss(), DRAM, widths, "exercises")
    table = resolved(eyeriss(), found.table)
    assert table.energy_pj["pe_array", "mac"] == 0.207692
    assert table.energy_pj["pe_array", "filter_spad_write"] == 1.881657
    assert (
        table.energy_pj["global_buffer", "read_byte"] == 18.183829 / 8
    )  # the random access, not the idle one
    assert table.energy_pj["dram", "read_burst"] == 512 * 32 / 8  # bursts of 32 bytes
    ours = resolved(eyeriss())
    assert table.energy_pj["noc", "psum_byte"] == pytest.approx(ours.energy_pj["noc", "psum_byte"])
    assert table.uncertainty("noc", "psum_byte") == pytest.approx(ours.uncertainty("noc", "psum_byte"))
    assert "noc.psum_byte" in found.from_base and "pe_array.mac" not in found.from_base
    assert found.ignored == ["shared_glb.leak"]
    assert table.extrapolated == ()


def test_areas_of_an_art_are_summed_over_instances(tmp_path: Path) -> None:
    art = tmp_path / "ART.yaml"
    art.write_text(
        "ART:\n  version: 0.4\n  tables:\n"
        "  - {name: 's.PE[0..167].mac', area: 1000.0}\n  - {name: 's.PE[0..167].psum_spad', area: 500}\n"
        "  - {name: s.shared_glb, area: 7.0e+5}\n  - {name: s.router, area: 1.0}\n"
    )
    widths = {"DRAM": 64, "shared_glb": 64}
    found = import_tables(EYERISS_LIKE, art, TABLE, eyeriss(), DRAM, widths, "areas")
    area = area_of(eyeriss(), found.table)
    assert area.by_component == pytest.approx({"global_buffer": 0.7, "pe_array": 168 * 1500 / 1e6})
    assert found.ignored == ["shared_glb.leak", "router"]


def test_an_area_may_be_zero(tmp_path: Path) -> None:
    art = tmp_path / "ART.yaml"
    most = "s.PE[0..999999].row[0..1099510].mac"
    art.write_text(f"ART:\n  tables: [{{name: '{most}', area: 0}}, {{name: s.shared_glb, area: 5.0e+5}}]\n")
    widths = {"DRAM": 64, "shared_glb": 64}
    found = import_tables(EYERISS_LIKE, art, TABLE, eyeriss(), DRAM, widths, "areas")
    assert area_of(eyeriss(), found.table).by_component == pytest.approx(
        {"global_buffer": 0.5, "pe_array": 0.0}
    )


@pytest.mark.parametrize("instances", ["[1..0]", "[0..999999].row[0..9999999]"])
def test_a_part_that_is_not_there_or_too_often_is_refused(tmp_path: Path, instances: str) -> None:
    art = tmp_path / "ART.yaml"
    art.write_text(f"ART:\n  tables: [{{name: 's.PE{instances}.mac', area: 1.0}}]\n")
    widths = {"DRAM": 64, "shared_glb": 64}
    with pytest.raises(InvalidInput, match=r"mac: found \d+ instances, expected 1 \.\. "):
        import_tables(EYERISS_LIKE, art, TABLE, eyeriss(), DRAM, widths, "areas")


def test_an_energy_that_no_table_can_hold_is_refused(tmp_path: Path) -> None:
    ert = tmp_path / "ERT.yaml"
    ert.write_text("ERT:\n  tables: [{name: s.mac, actions: [{name: compute, energy: 1.0e+300}]}]\n")
    with pytest.raises(InvalidInput) as caught:
        import_tables(ert, None, TABLE, eyeriss(), DRAM, {}, "x")
    assert [problem.hint for problem in caught.value.problems] == ["no table can hold such a value"]


def test_a_missing_width_is_refused_for_every_action() -> None:
    with pytest.raises(InvalidInput) as caught:
        import_tables(EYERISS_LIKE, None, TABLE, eyeriss(), DRAM, {"DRAM": 64}, "x")
    assert [problem.message for problem in caught.value.problems] == [
        f"shared_glb.{verb} prices an access of unknown width, global_buffer.{verb}_byte is a byte"
        for verb in ("read", "write")
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schema: archsim.energy/1\n", "found no ERT with tables that have name and actions"),
        ("ERT: {tables: [{name: a}]}\n", "found no ERT with tables"),
        ("ERT: {tables: [{name: s.mac, actions: [{energy: 1}]}]}\n", "found an action without a name"),
        (
            "ERT: {tables: [{name: s.mac, actions: [{name: compute, energy: -1}]}]}\n",
            "found -1, expected a number from 0 up",
        ),
        ("ERT: {tables: [{name: s.mac, actions: [{name: compute}]}]}\n", "found None, expected a number"),
    ],
)
def test_what_is_no_ert_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "ert.yaml"
    file.write_text(text)
    with pytest.raises(InvalidInput, match=message):
        import_tables(file, None, TABLE, eyeriss(), DRAM, {}, "x")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("export", "ERT.yaml"), 2),
        (("import",), 2),
        (("import", "ERT.yaml"), 2),
        (("import", EYERISS_LIKE, "--width", "glb", "--out", "t.yaml"), 3),
        (("import", "none.yaml", "--out", "t.yaml"), 3),
    ],
)
def test_wrong_use_is_refused(
    words: tuple[object, ...], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*words).exit_code == code
    assert list(tmp_path.iterdir()) == []
