"""Every command on every page works, every output shown is what it prints, and the reference pages are complete."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from archsim.api import evaluate, load
from archsim.cli.main import COMMANDS, cli
from archsim.comparison import records
from archsim.config.arch import ArchSpec
from archsim.config.dram import DramPresetSpec
from archsim.config.energy import EnergyTableSpec
from archsim.config.fields import field_places, place_of
from archsim.config.workload import WorkloadSpec
from archsim.counters import ACTIONS
from archsim.exits.spec import ExitsBuildSpec
from archsim.explore.spec import SweepSpec
from archsim.network.weights import expected_arrays
from archsim.resources import Kind, builtin_names
from archsim.results.run_result import EvaluateResult, ImageResult, LayerResult, RunResult
from archsim.training.spec import TrainSpec

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"


def _script(name: str) -> ModuleType:
    """A module of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(f"archsim_docs_{name}", ROOT / "docs" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


generate, run = _script("generate"), _script("run")
PAGES = list(run.pages())


def words_of(page: Path) -> set[str]:
    """Everything that a page sets in code."""
    return set(re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8")))


COMPARISON_RECORDS = (
    records.Comparison,
    records.Baseline,
    records.Rung,
    records.Control,
    records.Variation,
    records.PairedAccuracy,
    records.HardImages,
    records.BatchLimit,
)


# --- commands -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_a_page_work_and_print_what_it_shows(page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert run.run_page(text, tmp_path) == text, "an output has changed: run python docs/run.py"


@pytest.mark.pack
@pytest.mark.slow
def test_accuracy_of_the_vgg_card_is_that_of_the_complete_test_set(image_pack: Path) -> None:
    card = (ROOT / "docs" / "model-cards" / "vgg16-slim-cifar10.md").read_text(encoding="utf-8")
    found = re.search(
        r"```console\n\$ archsim (evaluate .*) cifar10_test\.parquet\n(.*?)```", card, re.DOTALL
    )
    assert found is not None
    command = [*found[1].split(), str(image_pack / "cifar10_test.parquet")]
    assert CliRunner().invoke(cli, command).stdout == found[2]


def test_every_command_is_shown_on_a_page() -> None:
    blocks = [found for page in PAGES for found in run._BLOCK.finditer(page.read_text(encoding="utf-8"))]
    lines = [
        line
        for found in blocks
        if found["language"] in ("bash", "console")
        for line in found["body"].splitlines()
    ]
    assert {found[1] for found in map(re.compile(r"(?:\$ )?archsim ([\w-]+)").match, lines) if found} == set(
        COMMANDS
    )


def test_relative_links_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert not broken


def test_every_page_is_reached_from_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {
        (index.parent / target).resolve() for target in re.findall(r"\]\(([^)#:]+)\)", index.read_text())
    }
    assert linked >= set((ROOT / "docs").glob("**/*.md")) - {index}


# --- the runner itself ----------------------------------------------------------------------------------------------


def test_runner_puts_outputs_and_files_in_place(tmp_path: Path) -> None:
    page = (
        "```yaml\n# small.yaml\nschema: archsim.arch/1\nname: small\nextends: dense-rs\npe_array: {rows: 3}\n```\n"
        "```bash\nls\narchsim schema \\\n  dram > dram.json\n```\n"
        "```python\nfrom pathlib import Path\nassert Path('dram.json').stat().st_size\n```\n"
        "```bash\narchsim --version  # which\n```\n\n```text\nstale\n```\n```bash\narchsim describe small.yaml\n```\n"
    )
    new = run.run_page(page, tmp_path)
    assert "stale" not in new
    assert "```text\narchsim, version " in new
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dram.json", "small.yaml"]


@pytest.mark.parametrize(
    "block",
    [
        "```bash\narchsim simulate digits --imags 4\n```",
        "```bash\narchsim describe no-such-thing\n```",
        "```console\n$ archsim simulat digits\n```",
        "```console\n$ archsim simulate digits --imags 4\n```",
        "```console\n$ archsim simulate digits --images none\n```",
        "```console\n$ archsim train\n```",
    ],
)
def test_runner_refuses_what_does_not_work(block: str, tmp_path: Path) -> None:
    with pytest.raises(run.PageFailed):
        run.run_page(block, tmp_path)


def test_measuring_runs_console_commands_and_takes_the_pictures(tmp_path: Path) -> None:
    folder, page = tmp_path / "run", tmp_path / "page.md"
    folder.mkdir()
    text = (
        "![a](out/a.txt) ![gone](out/b.txt)\n```console\n$ archsim --version\nstale\nlines\n"
        "$ archsim schema \\\n    dram > dram.json\n```\n"
    )
    page.write_text(text)
    new = run.measure_page(text, folder)
    assert "stale" not in new and "$ archsim --version\narchsim, version " in new
    assert "$ archsim schema \\\n    dram > dram.json\n" in new
    assert run.measure_page(new, folder) == new
    (folder / "out").mkdir()
    (folder / "out" / "a.txt").write_text("drawn")
    run.take_pictures(page, folder)
    assert (tmp_path / "out" / "a.txt").read_text() == "drawn"


@pytest.mark.slow
def test_the_reproduction_page_is_what_its_commands_print(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "reproduction.md").read_text(encoding="utf-8")
    assert run.measure_page(text, tmp_path) == text, "run python docs/run.py docs/reproduction.md"


def test_console_commands_are_not_run(tmp_path: Path) -> None:
    page = "```console\n$ archsim simulate no-such-workload --images 4\nanything\n```\n"
    assert run.run_page(page, tmp_path) == page


# --- completeness ---------------------------------------------------------------------------------------------------


def test_generated_tables_are_up_to_date() -> None:
    stale = [
        page.name
        for page in REFERENCE.glob("*.md")
        if generate.generated(page.read_text(encoding="utf-8")) != page.read_text(encoding="utf-8")
    ]
    assert not stale, "run python docs/generate.py"


def test_every_generated_row_says_what_it_is() -> None:
    rows = [
        (page.name, cells)
        for page in REFERENCE.glob("*.md")
        for block in generate._BLOCK.finditer(page.read_text(encoding="utf-8"))
        for cells in map(generate.cells_of, block["body"].splitlines())
    ]
    assert len(rows) > 150
    assert [row for row in rows if row[1] and not row[1][-1]] == []


def test_generator_keeps_what_is_written_by_hand() -> None:
    page = "a\n<!-- generated: workload -->\n| `name` | x | y | By hand. |\n| `gone` | | | lost |\n<!-- end -->\nb\n"
    new = generate.generated(page)
    assert (
        "| `name` | a name (a letter, then at most 63 letters, digits, _ or -) | required | By hand. |" in new
    )
    assert "gone" not in new
    assert new.startswith("a\n") and new.endswith("\nb\n")
    assert generate.generated(new) == new


def keys_inside(model: type[BaseModel]) -> set[str]:
    """Every key of a model and of all models below it, lists included."""
    found: set[str] = set()
    waiting: list[Any] = [model]
    while waiting:
        place = place_of(waiting.pop())
        if place.model is not None:
            for key, inner in field_places(place.model).items():
                found.add(key)
                waiting.append(inner.type)
        elif not isinstance(place.type, type):
            waiting.extend(part for part in getattr(place.type, "__args__", ()) if not isinstance(part, str))
    return found


@pytest.mark.parametrize(
    ("model", "page"),
    [
        (ArchSpec, REFERENCE / "architecture-file.md"),
        (DramPresetSpec, REFERENCE / "architecture-file.md"),
        (WorkloadSpec, REFERENCE / "workload-file.md"),
        (ExitsBuildSpec, REFERENCE / "exits-file.md"),
        (SweepSpec, REFERENCE / "sweep-file.md"),
        (TrainSpec, [REFERENCE / "train-file.md", REFERENCE / "workload-file.md"]),
        (EnergyTableSpec, ROOT / "energy_tables" / "README.md"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_key_of_a_file_is_on_its_page(model: type[BaseModel], page: Path | list[Path]) -> None:
    shown = set().union(*(words_of(one) for one in (page if isinstance(page, list) else [page])))
    parts = {part for word in shown for part in word.split(".")}
    assert keys_inside(model) - parts == set()


def test_keys_are_found_at_every_depth() -> None:
    assert {"schema", "rows", "ifmap_words", "core_mhz"} <= keys_inside(ArchSpec)
    assert {"filters", "other", "max_sum", "class_names"} <= keys_inside(WorkloadSpec)
    assert {"idd0_ma", "trefi"} <= keys_inside(DramPresetSpec)
    assert {"scales_with", "pe_um2_per_bit"} <= keys_inside(EnergyTableSpec)


def test_command_line_page_has_every_command_and_option() -> None:
    text = (REFERENCE / "command-line.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## archsim ([\w-]+)\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE))
    assert set(sections) == set(COMMANDS)
    for name, section in sections.items():
        command = cli.get_command(cli.make_context("archsim", ["list"]), name)
        assert command is not None
        options = {
            option for parameter in command.params for option in parameter.opts if option.startswith("-")
        }
        assert options == set(re.findall(r"`(--?\w[\w-]*)", section.partition("| --- |")[2]))


def test_counters_page_has_every_action() -> None:
    rows = [generate.cells_of(line) for line in (REFERENCE / "counters.md").read_text().splitlines()]
    shown = [(row[0].strip("`"), row[1].strip("`"), row[2]) for row in rows if row and row[0].startswith("`")]
    assert shown == [(action.component, action.name, action.unit) for action in ACTIONS]


def test_results_page_has_every_key() -> None:
    keys = {
        item.name
        for record in (RunResult, EvaluateResult, ImageResult, LayerResult, *COMPARISON_RECORDS)
        for item in dataclasses.fields(record)
    }
    assert keys - {"per_image"} - words_of(REFERENCE / "result-files.md") == set()


def test_trace_page_has_every_array(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    evaluate("digits", images=2, save_trace=path)
    with np.load(path) as trace:
        names = [re.sub("^zeros/.*", "zeros/TENSOR", name) for name in trace.files]
        kinds = {re.sub("^exits/[^/]*", "exits/NAME", name) for name in names}
    rows = [generate.cells_of(line) for line in (REFERENCE / "functional-trace.md").read_text().splitlines()]
    assert {row[0].strip("`") for row in rows if row and row[0].startswith("`")} == kinds


def test_workload_page_has_every_array_of_the_weights() -> None:
    shown = words_of(REFERENCE / "workload-file.md")
    parts = {key.rpartition("/")[2] for key in expected_arrays(load("digits").network)}
    assert {f"LAYER/{part}" for part in parts - {"table"}} | {"input/table"} <= shown


def test_every_workload_has_a_card_and_is_listed() -> None:
    names = set(builtin_names(Kind.WORKLOAD))
    computed = {name for name in names if not load(name).spec.is_shape_only}
    # A card is of the workload of its name and of those that its table of members lists.
    cards = {path.stem: words_of(path) for path in (ROOT / "docs" / "model-cards").glob("*.md")}
    assert set(cards) <= computed
    assert computed <= set(cards).union(*cards.values())
    assert {f"{name}.yaml" for name in names} <= words_of(ROOT / "workloads" / "README.md")
