"""Spaces: how values are written, which points follow, which are excluded, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from archsim import api
from archsim.errors import InvalidInput
from archsim.explore.axis import Axis, parse_axis, parse_text, range_values, value_text
from archsim.explore.expression import parse_constraint
from archsim.explore.request import requested_spec
from archsim.explore.space import Space
from archsim.explore.spec import RangeSpec, SweepSpec, load_sweep_spec
from archsim.explore.task import Task


def spec(**changes: Any) -> SweepSpec:
    content = {"schema": "archsim.sweep/1", "name": "s", "workload": "digits", **changes}
    return SweepSpec.model_validate(content)


def space(**changes: Any) -> Space:
    return Space.of(spec(**changes), {"digits": api.load("digits")})


def params_of(found: Space) -> list[dict[str, Any]]:
    return [point.params for point in found.points()]


# --- axes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key", "values"),
    [
        ("pe_array.rows=8", "pe_array.rows", (8,)),
        (" pe_array.rows = 8, 12 ", "pe_array.rows", (8, 12)),
        ("a=[8, 12]", "a", (8, 12)),
        ("a=8,8.0,12,8", "a", (8, 12)),
        ("a=gate,skip", "a", ("gate", "skip")),
        ("a=true,false", "a", (True, False)),
        ("a=null,1500", "a", (None, 1500)),
        ('a="8",8', "a", ("8", 8)),
        ("a=4..16:4", "a", (4, 8, 12, 16)),
        ("a=4..15:4", "a", (4, 8, 12)),
        ("a=27..216*2", "a", (27, 54, 108, 216)),
        ("a=0..1#5", "a", (0, 0.25, 0.5, 0.75, 1)),
        ("a=0.1..0.4:0.1", "a", (0.1, 0.2, 0.30000000000000004, 0.4)),
        ("a=-4..4:4", "a", (-4, 0, 4)),
    ],
)
def test_values_on_the_command_line(text: str, key: str, values: tuple[Any, ...]) -> None:
    axis = parse_axis(text)
    assert (axis.key, axis.values, axis.interval) == (key, values, None)


def test_an_interval_on_the_command_line() -> None:
    axis = parse_axis("a=1..9")
    assert axis.interval == RangeSpec(low=1, high=9)


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "=1",
        "a=",
        "a=9..1:2",
        "a=1..x:2",
        "a=0..9*2",
        "a=1..9:0",
        "a=1..9*1",
        "a=[[1]]",
        "a=[{b: 1}]",
        "a=0..1e9:1",
        "a=1e-320..1e308*2",
    ],
)
def test_what_is_no_axis_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as found:
        parse_axis(text)
    assert found.value.problems[0].where == f"--set {text}"


@given(st.integers(-50, 50), st.integers(0, 60), st.integers(1, 9))
def test_steps_are_those_of_range(low: int, width: int, step: int) -> None:
    assert range_values("a", RangeSpec(low=low, high=low + width, step=step)) == tuple(
        range(low, low + width + 1, step)
    )


@given(st.floats(0, 1, exclude_max=True), st.booleans())
def test_positions_stay_inside(position: float, log: bool) -> None:
    whole = Axis("a", interval=RangeSpec(low=2, high=64, log=log)).at(position)
    real = Axis("a", interval=RangeSpec(low=0.5, high=8.0, log=log)).at(position)
    assert isinstance(whole, int) and 2 <= whole <= 64
    assert isinstance(real, float) and 0.5 <= real <= 8.0
    assert Axis("a", ("x", "y")).at(position) == ("x" if position < 0.5 else "y")


@given(st.one_of(st.booleans(), st.integers(), st.floats(-1e9, 1e9), st.text(max_size=12), st.none()))
def test_values_as_text_mean_the_same(value: Any) -> None:
    try:
        assert parse_text(value_text(value)) == value
    except AssertionError:
        # Characters that YAML does not allow at all: no file could hold them either.
        assert isinstance(value, str) and not value.isprintable()


# --- constraints ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("a.b * 2 == 8", True),
        ("a.b + c <= 9", True),
        ("1 < a.b < c", True),
        ("1 < a.b < 3", False),
        ("c == 5 and (a.b > 9 or not a.b != 4)", True),
        ("max(a.b, c, 2) - min(a.b, c) == 1", True),
        ("ceil(c / 2) == 3 and floor(c / 2) == 2 and abs(-c) == 5", True),
        ("c // 2 * 2 + c % 2 == c and a.b ** 2 == 16", True),
        ("z == 'gate'", True),
        ("+a.b == - -4", True),
    ],
)
def test_conditions(text: str, holds: bool) -> None:
    values = {"a.b": 4, "c": 5, "z": "gate"}
    assert parse_constraint(text).holds(values.__getitem__) is holds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 < 2",
        "a <",
        "__import__('os').system('x')",
        "a.__class__()",
        "[a for a in b]",
        "a[0]",
        "lambda: a",
        "f'{a}'",
        "open(a)",
        "a := 3",
        "a if b else c",
        "a" + "+a" * 2000,
        "print",
    ],
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        space(space={"pe_array.rows": [4]}, constraints=[text])


@pytest.mark.parametrize("text", ["a ** 1000000 > 1", "a * 'x' < 3", "a / 0 > 1", "a < 'x'"])
def test_conditions_that_cannot_be_evaluated_say_so(text: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be evaluated"):
        parse_constraint(text).holds({"a": 4.5}.__getitem__)


# --- points ---------------------------------------------------------------------------------------------------------


def test_a_grid_is_every_combination_the_last_key_fastest() -> None:
    found = space(
        space={"pe_array.rows": [4, 8], "pe_array.cols": {"low": 6, "high": 8, "step": 2}, "images": 3}
    )
    assert params_of(found) == [
        {"pe_array.rows": rows, "pe_array.cols": cols, "images": 3} for rows in (4, 8) for cols in (6, 8)
    ]
    assert found.count() == found.size == 4


def test_without_a_space_there_is_one_point() -> None:
    assert params_of(space()) == [{}]


def test_constraints_see_keys_that_are_not_varied() -> None:
    found = space(
        space={"pe_array.rows": [4, 8, 12]},
        constraints=["pe_array.rows * pe_array.cols <= 8 * 14", "images == 5"],
        images=5,
    )
    assert params_of(found) == [{"pe_array.rows": 4}, {"pe_array.rows": 8}]
    assert [point.number for point in found.points()] == [0, 1]
    assert (found.count(), found.size) == (2, 3)


def test_constraints_see_the_accelerator_of_the_point() -> None:
    arch = {"arch": ["locoexnet-65nm", "dense-rs"]}
    assert params_of(space(space=arch, constraints=["pe_array.zero == 'none'"])) == [{"arch": "dense-rs"}]


def test_constraints_see_the_area_that_a_simulation_reports() -> None:
    sizes = {"global_buffer.size_kib": [27, 54, 108], "arch": ["dense-rs", "locoexnet-65nm"]}
    area = {
        (kib, arch): api.simulate(
            "digits", arch=arch, images=1, overrides=[f"global_buffer.size_kib={kib}"]
        ).area_mm2.total
        for kib in sizes["global_buffer.size_kib"]
        for arch in sizes["arch"]
    }
    bound = area[54, "locoexnet-65nm"]
    assert min(area.values()) < bound < max(area.values())
    for text in (f"area <= {bound!r}", f"area_mm2.total - {bound!r} <= 0 and global_buffer.size_kib > 0"):
        found = params_of(space(space=sizes, constraints=[text]))
        assert {(one["global_buffer.size_kib"], one["arch"]) for one in found} == {
            point for point, mm2 in area.items() if mm2 <= bound
        }


def test_areas_are_those_of_the_energy_table_of_the_point() -> None:
    tables = {"energy_table": ["65nm", "45nm"]}
    mm2 = [
        api.simulate("digits", arch="dense-rs", energy_table=table, images=1).area_mm2.total
        for table in tables["energy_table"]
    ]
    found = space(space=tables, arch="dense-rs", constraints=[f"area < {mm2[0]!r}"])
    assert mm2[1] < mm2[0] and params_of(found) == [{"energy_table": "45nm"}]


def test_what_has_no_area_is_not_excluded_by_it() -> None:
    found = space(
        space={"global_buffer.size_kib": [4, 54], "pe_array.rows": [8, 12]},
        constraints=["area < 0", "pe_array.rows == 8"],
    )
    assert params_of(found) == [{"global_buffer.size_kib": 4, "pe_array.rows": 8}], "filters alone need 8 KiB"


def test_random_points_differ_and_repeat() -> None:
    changes: dict[str, Any] = {
        "space": {"pe_array.rows": {"low": 2, "high": 16}, "pe_array.zero": ["gate", "skip"]},
        "sample": {"method": "random", "points": 20, "seed": 3},
        "constraints": ["pe_array.rows != 9"],
    }
    found = params_of(space(**changes))
    assert len({json.dumps(params) for params in found}) == len(found) == 20
    assert all(2 <= params["pe_array.rows"] <= 16 and params["pe_array.rows"] != 9 for params in found)
    assert found == params_of(space(**changes))
    changes["sample"] = {**changes["sample"], "seed": 4}
    assert found != params_of(space(**changes))


def test_random_points_end_when_there_are_no_more() -> None:
    found = space(space={"pe_array.rows": [4, 8]}, sample={"method": "random", "points": 50})
    assert sorted(params["pe_array.rows"] for params in params_of(found)) == [4, 8]


def test_a_latin_hypercube_has_one_point_in_each_part_of_each_axis() -> None:
    points = 16
    found = params_of(
        space(
            space={"pe_array.rows": {"low": 1, "high": points}, "pe_array.cols": {"low": 1, "high": points}},
            sample={"method": "latin_hypercube", "points": points},
        )
    )
    for key in ("pe_array.rows", "pe_array.cols"):
        assert sorted(params[key] for params in found) == list(range(1, points + 1))
    rows, cols = ([params[key] for params in found] for key in ("pe_array.rows", "pe_array.cols"))
    assert abs(np.corrcoef(rows, cols)[0, 1]) < 0.7


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"space": {"pe_array.rws": [4]}},
            'pe_array.rws: no such configuration key (hint: did you mean "pe_array.rows"?)',
        ),
        ({"space": {"exits.exit9.threshold": [4]}}, 'did you mean "exits.exit'),
        ({"space": {"dbp.exit9.max_sum": [4]}}, 'did you mean "dbp.exit'),
        ({"space": {"name": ["x"]}}, "no such configuration key"),
        ({"space": {"pe_array.rows": []}}, "found no value"),
        (
            {"space": {"pe_array.rows": {"low": 1, "high": 4}}},
            "found an interval, expected single values in a grid",
        ),
        ({"space": {"arch": ["dense-r"]}}, 'did you mean "dense-rs"?'),
        ({"space": {}, "constraints": ["pe_aray.rows < 4"]}, 'did you mean "pe_array.rows"?'),
        ({"space": {}, "constraints": ["area_mm2 < 4"]}, 'did you mean "area_mm2.total"?'),
        ({"space": {"area": [4]}}, "no such configuration key"),
        (
            {"space": {k: list(range(1, 1025)) for k in ("pe_array.rows", "pe_array.cols")}},
            "found 1048576 combinations",
        ),
    ],
)
def test_spaces_that_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput) as found:
        space(**changes)
    assert said in str(found.value)


def test_all_problems_of_a_space_are_listed() -> None:
    with pytest.raises(InvalidInput) as found:
        space(space={"a": [1], "b": [], "arch": ["x"]}, constraints=["1"])
    assert len(found.value.problems) >= 5


# --- files and requests ---------------------------------------------------------------------------------------------


def test_a_sweep_file_names_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("schema: archsim.arch/1\nname: mine\nextends: dense-rs\n")
    file = tmp_path / "s.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "schema": "archsim.sweep/1",
                "name": "s",
                "workload": "digits",
                "arch": "mine.yaml",
                "data": "images.npz",
                "space": {"pe_array.rows": {"low": 4, "high": 8, "step": 4}},
            }
        )
    )
    loaded = load_sweep_spec(file)
    assert (loaded.workload, loaded.arch) == ("digits", str(tmp_path / "mine.yaml"))
    assert loaded.data == str(tmp_path / "images.npz")
    changed = requested_spec(
        str(file), ["pe_array.cols=7"], ["pe_array.rows > 4"], "lhs:3", {"images": 2, "seed": None}, tmp_path
    )
    assert changed.space == {"pe_array.rows": RangeSpec(low=4, high=8, step=4), "pe_array.cols": [7]}
    assert (changed.images, changed.constraints, changed.sample.points) == (2, ["pe_array.rows > 4"], 3)


def test_problems_of_a_sweep_file_have_a_place(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(
        "schema: archsim.sweep/1\nname: s\nworkload: digit\nimages: 0\nspace: {a: {low: 3, high: 1}}\n"
    )
    with pytest.raises(InvalidInput) as found:
        load_sweep_spec(file)
    assert "s.yaml:4:9: images: found 0, expected an integer from 1 up" in str(found.value)
    file.write_text("schema: archsim.sweep/1\nname: s\nworkload: digit\n")
    with pytest.raises(InvalidInput, match=r"s\.yaml:3:11: workload: no workload is called"):
        load_sweep_spec(file)


def test_a_task_has_the_options_of_simulate() -> None:
    task = Task.of(
        spec(images=4, seed=7),
        {
            "pe_array.rows": 8,
            "arch": "dense-rs",
            "images": 2,
            "exits.exit1.threshold": None,
            "arrivals": "100",
        },
        {"digits": (Path("t.npz"),)},
    )
    assert (task.workload, task.arch, task.images, task.seed, task.arrivals) == (
        "digits",
        "dense-rs",
        2,
        7,
        "100",
    )
    assert task.overrides == ("pe_array.rows=8", "exits.exit1.threshold=null")
