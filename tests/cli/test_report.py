"""``archsim report``: the numbers are those of the JSON, the page is whole, and it asks for nothing."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from archsim.cli.main import cli
from archsim.report.page.exits import exits_section
from archsim.report.page.numbers import MINUS, TO
from archsim.results.store import write_run
from tests.builders import tiny_document, write_workload
from tests.html_page import Element, Page
from tests.report_pages import IMAGES, classes_workload, page_of, report, simulated
from tests.run_results import early_exit_run, image


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classes_workload(tmp_path_factory.mktemp("workload"))


@pytest.fixture(scope="module")
def run(workload: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulated(workload, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def compared(workload: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a comparison with two baselines, a variation and a further workload."""
    folder = tmp_path_factory.mktemp("compare")
    other = write_workload(folder / "other", tiny_document(name="other"), images=IMAGES)
    words = ["compare", workload, other, "--baseline", "dense-rs", "--baseline", "skip-rs"]
    words += ["--vary", "global_buffer.size_kib=54", "--out", folder / "out"]
    result = CliRunner().invoke(cli, [*map(str, words)])
    assert result.exit_code == 0, result.stderr
    return folder / "out"


# --- numbers


def resolve(content: Any, key: str) -> Any:
    """The value at a dotted key."""
    for part in key.split("."):
        content = content[int(part)] if isinstance(content, list) else content[part]
    return content


def assert_shows(element: Element, value: float) -> None:
    """The exact value beside the text, and the text what rounding makes of it."""
    exact = element.attributes.get("value") or element.attributes["data-value"]
    assert float(exact) == value, element
    found = re.match(rf"([{MINUS}+]?[\d,]*\.?\d+)( %)?", element.text)
    assert found is not None, element
    digits = len(found[1].partition(".")[2])
    shown = float(found[1].replace(",", "").replace(MINUS, "-"))
    scaled = value * 100 if found[2] else value
    assert abs(shown - scaled) <= 0.5000001 * 10**-digits, element


def numbers_of(page: Page) -> dict[str, list[Element]]:
    found: dict[str, list[Element]] = {}
    for element in page.elements:
        if key := element.attributes.get("data-key"):
            found.setdefault(key, []).append(element)
    return found


def leaves(content: Any, prefix: str) -> set[str]:
    """Keys of all numbers below a key."""
    if isinstance(content, dict):
        return {key for name, inner in content.items() for key in leaves(inner, f"{prefix}.{name}")}
    if isinstance(content, list):
        return {key for index, inner in enumerate(content) for key in leaves(inner, f"{prefix}.{index}")}
    return {prefix} if isinstance(content, int | float) else set()


def test_numbers_are_those_of_the_run(run: Path, tmp_path: Path) -> None:
    content = json.loads((run / "result.json").read_text())
    shown = numbers_of(page_of(run, out=tmp_path / "a.html"))
    for key, elements in shown.items():
        for element in elements:
            assert_shows(element, resolve(content, key))
    wanted = (
        "cycles",
        "latency_us",
        "exits",
        "energy_uj_per_image",
        "energy_uncertainty_uj",
        "energy_by_cause_uj",
    )
    for part in (*wanted, "dram_bytes_per_image", "layers"):
        assert leaves(content[part], part) - {"cycles.total"} <= set(shown), part
    assert {"accuracy", "params_used_fraction", "macs_used_fraction", "throughput_ips", "images"} <= set(
        shown
    )


def test_numbers_are_those_of_the_comparison(compared: Path, tmp_path: Path) -> None:
    content = json.loads((compared / "comparison.json").read_text())
    all_shown = numbers_of(page_of(compared, out=tmp_path / "a.html"))
    shown = {
        key.partition("/")[2]: value for key, value in all_shown.items() if key.startswith("comparison/")
    }
    for key, elements in shown.items():
        for element in elements:
            assert_shows(element, resolve(content, key))
    for prefix, part in (("", content), ("others.0.", content["others"][0])):
        wanted = {
            f"{prefix}{group}.{index}.{name}"
            for group, names in (
                (
                    "baselines",
                    (
                        "speedup",
                        "energy_saving",
                        "edp_saving",
                        "paired.delta_pp",
                        "hard_images.worst_time_ratio",
                    ),
                ),
                ("ladder", ("cycles_mean", "energy_uj_per_image", "speedup", "step_energy_saving")),
                ("controls", ("accuracy", "energy_saving")),
                ("variations", ("baselines.0.speedup", "baselines.1.energy_saving")),
            )
            for index in range(len(part[group]))
            for name in names
        }
        assert len(wanted) > 20
        assert wanted <= set(shown)


def test_the_run_of_a_comparison_is_the_one_compared(compared: Path, tmp_path: Path) -> None:
    content = json.loads((compared / "comparison.json").read_text())["ours"]
    shown = numbers_of(page_of(compared / "comparison.json", out=tmp_path / "a.html"))
    assert {float(each.attributes["value"]) for each in shown["cycles.mean"]} == {content["cycles_mean"]}
    assert_shows(shown["energy_uj_per_image.total"][0], content["energy_uj_per_image"])


def test_exits_of_the_table_are_counted_over_the_images() -> None:
    """Accuracy, cycles and energy of an exit are in no JSON key; here they are known by head."""
    page = Page.of(exits_section(early_exit_run()).markup())
    rows = [[cell.text for cell in page.elements if cell.parent is row] for row in page.all("tr")[1:]]
    assert rows == [
        ["exit1", "3", "75.0 %", "66.67 %", f"20.8{TO}93.9 %", "4", "0", "266.7", "1.500"],
        ["final", "1", "25.0 %", "100.00 %", f"20.7{TO}100.0 %", "", "", "800.0", "1.500"],
    ]


# --- the page


def test_the_page_is_well_formed_and_complete(run: Path, compared: Path, tmp_path: Path) -> None:
    alone = page_of(run, out=tmp_path / "a.html")
    both = page_of(compared, out=tmp_path / "b.html")
    assert alone.errors == both.errors == []
    titles = ["Where images leave", "Energy", "Latency", "Images", "Layers", "Configuration", "Provenance"]
    assert [heading.text for heading in alone.all("h2")] == ["Summary", *titles]
    compared_titles = [
        f"{what} of {name}" for name in ("tiny", "other") for what in ("Comparison", "Attribution ladder")
    ]
    assert [heading.text for heading in both.all("h2")] == ["Summary", *compared_titles, *titles]
    links = [link.text for link in both.all("a") if link.parent is not None and link.parent.name == "li"]
    assert links == [heading.text for heading in both.all("h2")]


def test_every_picture_and_field_has_a_name(run: Path, tmp_path: Path) -> None:
    page = page_of(run, out=tmp_path / "a.html")
    hidden = [each for each in page.all("svg") if "aria-hidden" in each.attributes]
    pictures = [each for each in page.all("svg") if each not in hidden]
    titled = {id(title.parent) for title in page.all("title") if title.text}
    assert len(pictures) > 5
    assert all(each.attributes["role"] == "img" and id(each) in titled for each in pictures)
    assert all(each.attributes["alt"] for each in page.all("img"))
    assert all(each.attributes["scope"] in ("row", "col") for each in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    regions = [each for each in page.all("div") if each.attributes.get("role") == "region"]
    assert all(each.attributes["aria-label"] and each.attributes["tabindex"] == "0" for each in regions)


def test_nothing_is_fetched(compared: Path, tmp_path: Path) -> None:
    page = page_of(compared, out=tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text()
    policies = [each.attributes["content"] for each in page.all("meta") if "http-equiv" in each.attributes]
    assert [policy.partition(";")[0] for policy in policies] == ["default-src 'none'"]
    assert re.findall(r"https?://", text) == []
    assert re.findall(r"@import|url\((?!#)|\bfetch\(|<link|<iframe|<script src", text) == []
    sources = re.findall(r"\bsrc=\"([^\"]{0,22})", text)
    assert set(sources) == set()  # the workload of this comparison is no built-in: no images are found


def test_the_same_result_gives_the_same_bytes(run: Path, workload: Path, tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        page_of(run, "--workload", workload, out=tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_names_stay_text(tmp_path: Path) -> None:
    hostile = "<script>alert('\"&')</script>"
    result = early_exit_run(workload=hostile, arch=hostile, energy_table=hostile, overrides=(f"a={hostile}",))
    layers = (dataclasses.replace(result.layers[0], name=hostile), *result.layers[1:])
    energy = {hostile: 18.0}
    result = dataclasses.replace(
        result,
        layers=layers,
        energy_uj_per_image=dataclasses.replace(result.energy_uj_per_image, by_component=energy),
        exits={hostile: 3, "final": 1},
        branches={hostile: result.branches["exit1"]},
        per_image=tuple(
            dataclasses.replace(each, exit=hostile if each.exit == "exit1" else each.exit)
            for each in result.per_image
        ),
    )
    write_run(result, tmp_path / "run")
    page = page_of(tmp_path / "run", out=tmp_path / "a.html")
    assert page.errors == []
    assert len(page.all("script")) == 1
    assert page.one("h1").text == f"{hostile} on {hostile}"
    assert hostile in [cell.text for cell in page.all("th")]


def test_a_large_run_gives_a_small_page(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    count = 10_000
    cycles = rng.integers(200, 90_000, count).tolist()
    names = [f"exit{index % 12}" for index in range(count - 1)] + ["final"]
    images = tuple(image(index, names[index], cycles[index], right=index % 7 > 0) for index in range(count))
    exits = {name: names.count(name) for name in dict.fromkeys(names)}
    base = early_exit_run()
    result = dataclasses.replace(
        base,
        images=count,
        exits=exits,
        branches={},
        per_image=images,
        cycles=dataclasses.replace(base.cycles, total=sum(cycles)),
    )
    write_run(result, tmp_path / "run")
    pixels = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", images=pixels, labels=np.ones(count, np.int64))
    page = page_of(tmp_path / "run", "--data", tmp_path / "images.npz", out=tmp_path / "a.html")
    assert (tmp_path / "a.html").stat().st_size < 1_500_000
    shown = page.all("img")
    assert 80 <= len(shown) <= 96
    assert {each.parent.attributes["data-exit"] for each in shown if each.parent} == set(exits)


# --- configuration and provenance


def test_the_command_makes_the_same_run_again(run: Path, workload: Path, tmp_path: Path) -> None:
    page = page_of(run, "--workload", workload, out=tmp_path / "a.html")
    line = page.one("pre").text.splitlines()[0]
    program, *words = shlex.split(line)
    words[-1] = str(tmp_path / "again")
    assert program == "archsim"
    assert CliRunner().invoke(cli, words).exit_code == 0
    first, second = (json.loads((folder / "result.json").read_text()) for folder in (run, tmp_path / "again"))
    for differs in ("host", "files"):
        del first[differs], second[differs]
    assert first == second


def test_keys_of_the_accelerator_are_shown_where_the_hash_is_that_of_the_run(
    run: Path, tmp_path: Path
) -> None:
    page = page_of(run, out=tmp_path / "a.html")
    rows = {row.text for row in page.all("tr") if row.inside("configuration")}
    assert "pe_array.rows8" in rows and "pe_array.cols14" in rows
    content = json.loads((run / "result.json").read_text())
    assert {content[key] for key in content if key.endswith("_hash")} <= {
        each.text for each in page.all("code")
    }
    (run / "result.json").rename(run / "kept.json")
    try:
        (run / "result.json").write_text(json.dumps({**content, "config_hash": "0" * 64}))
        changed = page_of(run, out=tmp_path / "b.html")
        assert changed.all("details") == []
        assert "with the hash of this run was not found" in changed.one("main").text
        refused = report(run, "--arch", "locoexnet-65nm", "-o", tmp_path / "c.html")
        assert refused.exit_code == 3
        assert "expected that of the result, 000000000000" in refused.stderr
    finally:
        (run / "kept.json").rename(run / "result.json")


# --- what cannot be used


def test_what_cannot_be_used_is_refused_and_nothing_is_written(
    run: Path, compared: Path, tmp_path: Path
) -> None:
    out = tmp_path / "page.html"
    np.savez(tmp_path / "wrong.npz", images=np.zeros((IMAGES, 8, 8, 1), np.uint8), labels=np.full(IMAGES, 3))
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "sweep.sqlite").touch()
    (tmp_path / "broken").mkdir()
    content = json.loads((compared / "comparison.json").read_text())
    del content["ours"]["speedup_p50" if "speedup_p50" in content["ours"] else "pes"]
    (tmp_path / "broken" / "comparison.json").write_text(json.dumps(content, indent=2))
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "comparison.json").write_bytes((compared / "comparison.json").read_bytes())
    cases: list[tuple[list[object], str]] = [
        ([tmp_path / "none"], "found no such file, expected the result of a run"),
        ([tmp_path / "none" / "comparison.json"], "found no such file, expected a comparison"),
        ([tmp_path / "sweep"], "found a sweep, expected a run or a comparison"),
        ([tmp_path / "broken"], "ours.pes: missing (hint: compare again with --out)"),
        ([tmp_path / "alone"], "found no run of tiny on locoexnet-65nm as it is compared"),
        ([run, "--data", tmp_path / "wrong.npz"], "whose labels are not those of the run of 12 images"),
        ([run, "--workload", "digits"], "--workload digits: found a file of the hash"),
        ([run, "--arch", "dense-rs"], "--arch dense-rs: found a file of the hash"),
    ]
    for words, message in cases:
        result = report(*words, "-o", out)
        assert (result.exit_code, result.stdout) == (3, ""), words
        assert message in result.stderr
    assert not out.exists()
    folder = report(run, "-o", tmp_path)
    assert (folder.exit_code, "found a folder, expected a file to write" in folder.stderr) == (3, True)
