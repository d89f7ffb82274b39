"""The timing diagrams of the documentation are what the twins do."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("amaranth")  # before the import of what needs it

from archsim.rtl.units import UNITS
from tests.page_scripts import script

waves = script("waves")


def test_every_unit_has_a_diagram() -> None:
    assert waves.SCENES.keys() == UNITS.keys()
    page = (waves.FOLDER.parent / "rtl.md").read_text(encoding="utf-8")
    assert all(f"](rtl/{name}.svg)" in page for name in UNITS)


@pytest.mark.parametrize("name", waves.SCENES)
def test_a_diagram_is_what_the_twin_does(name: str) -> None:
    drawn = waves.draw(waves.SCENES[name]())
    path: Path = waves.FOLDER / f"{name}.svg"
    assert path.read_text(encoding="utf-8") == drawn, "run python docs/waves.py"


def test_a_cycle_that_is_off_shows() -> None:
    scene = waves.SCENES["dbp_unit"]()
    late = waves.Scene(scene.unit, scene.cycles, lambda cycle: scene.drive(cycle - 1), scene.lines)
    assert waves.draw(late) != waves.draw(waves.SCENES["dbp_unit"]())
