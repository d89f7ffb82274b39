"""``archsim energy``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from archsim.cli.options import json_option, set_option
from archsim.cli.output import note_files, print_json, print_table, print_title
from archsim.results.defaults import DEFAULT_ARCH

if TYPE_CHECKING:
    from archsim.config.arch import ArchSpec
    from archsim.config.dram import DramPresetSpec
    from archsim.config.energy import EnergyTableSpec


@click.command()
@click.argument("action", type=click.Choice(["export", "import"]))
@click.argument("ert", required=False)
@click.option("--art", metavar="FILE", help="With import: the areas that belong to the ERT.")
@click.option(
    "--width",
    "widths",
    multiple=True,
    metavar="NAME=BITS",
    help="With import: width of an access that the ERT prices, by the last part of the component's name, for example "
    "shared_glb=64; may be repeated.",
)
@click.option(
    "--arch",
    default=DEFAULT_ARCH,
    show_default=True,
    metavar="A",
    help="Accelerator whose actions are meant: path or name.",
)
@click.option(
    "--energy-table",
    metavar="T",
    help="Table to export, or that gives what an ERT lacks (default: the one the arch names).",
)
@set_option
@click.option(
    "--out",
    default=".",
    metavar="PATH",
    help="Folder for ERT.yaml and ART.yaml (default: here), or table to write.",
)
@json_option
def energy(
    action: str,
    ert: str | None,
    art: str | None,
    widths: tuple[str, ...],
    arch: str,
    energy_table: str | None,
    overrides: tuple[str, ...],
    out: str,
    as_json: bool,
) -> None:
    """Exchange energy tables with Accelergy and Timeloop.

    \b
    Example:
      archsim energy export --arch eyeriss-65nm --out accelergy
      archsim energy import accelergy/ERT.yaml --art accelergy/ART.yaml --arch eyeriss-65nm --out mine.yaml

    export writes the pJ of every action as ERT.yaml and the areas as ART.yaml. import makes a table of an ERT for one
    accelerator; archsim's own names and those usual for Eyeriss-like designs are known.
    """
    from archsim.config.load import load_arch, load_dram_preset, load_energy_table

    spec = load_arch(arch, overrides)
    dram, table = load_dram_preset(spec.dram.preset), load_energy_table(energy_table or spec.energy_table)
    if action == "export":
        if ert is not None or art is not None or widths:
            raise click.UsageError("export reads no ERT, ART or widths.")
        _export(spec, dram, table, Path(out), as_json)
        return
    if ert is None or out == ".":
        raise click.UsageError("import needs an ERT and --out TABLE.yaml.")
    _import(spec, dram, table, Path(ert), Path(art) if art else None, _widths(widths), Path(out), as_json)


def _widths(texts: tuple[str, ...]) -> dict[str, int]:
    from archsim.errors import InvalidInput, Problem

    found, problems = {}, []
    for text in texts:
        name, equals, bits = text.partition("=")
        if not (name and equals and bits.isdecimal() and int(bits) > 0):
            problems.append(Problem(f"--width {text}", "", "expected NAME=BITS", "--width shared_glb=64"))
            continue
        found[name] = int(bits)
    if problems:
        raise InvalidInput(problems)
    return found


def _export(
    spec: ArchSpec, dram: DramPresetSpec, table: EnergyTableSpec, folder: Path, as_json: bool
) -> None:
    import yaml

    from archsim.energy.accelergy import art_of, ert_of
    from archsim.energy.table import resolve
    from archsim.files import write_atomic
    from archsim.results.store import check_out_dir

    resolved = resolve(table, spec, dram)
    check_out_dir(folder)
    found = {"ERT.yaml": ert_of(resolved, spec), "ART.yaml": art_of(resolved, spec)}
    for name, content in found.items():
        write_atomic(folder / name, yaml.safe_dump(content, sort_keys=False).encode())
    note_files([str(folder / name) for name in found])
    if as_json:
        print_json({key: value for content in found.values() for key, value in content.items()})


def _import(
    spec: ArchSpec,
    dram: DramPresetSpec,
    table: EnergyTableSpec,
    ert: Path,
    art: Path | None,
    widths_bits: dict[str, int],
    out: Path,
    as_json: bool,
) -> None:
    import yaml

    from archsim.energy.accelergy import import_tables
    from archsim.files import write_atomic

    found = import_tables(ert, art, table, spec, dram, widths_bits, out.stem)
    data = found.table.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=118)
    write_atomic(out, f"# Written by archsim energy import from {ert.name}.\n{text}".encode())
    note_files([str(out)])
    if as_json:
        print_json({"taken": found.taken, "from_base": found.from_base, "ignored": found.ignored})
        return
    print_title(f"{found.table.name}: {len(found.taken)} actions from {ert}")
    print_table(("in the ERT", "here"), list(found.taken.items()), left=(0, 1))
    click.echo(f"from {table.name} on {spec.name}: {', '.join(found.from_base) or '(none)'}")
    click.echo(f"ignored: {', '.join(found.ignored) or '(none)'}")
