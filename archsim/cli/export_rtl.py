"""``archsim export-rtl``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from archsim.cli.options import json_option, set_option
from archsim.cli.output import note_files, print_json, print_table
from archsim.results.defaults import DEFAULT_ARCH


@click.command("export-rtl")
@click.argument("unit")
@click.option(
    "--arch",
    default=DEFAULT_ARCH,
    show_default=True,
    metavar="A",
    help="Accelerator that has the unit: path or name.",
)
@set_option
@click.option("-o", "--out", metavar="FILE", help="Verilog file to write.")
@click.option(
    "--gates",
    is_flag=True,
    help="Print gates, flip-flops, levels and what they cost; all units where UNIT is all.",
)
@click.option(
    "--lanes", metavar="N,N...", help="With --gates: for these numbers of lanes of DBP unit and branch unit."
)
@json_option
def export_rtl(
    unit: str,
    arch: str,
    overrides: tuple[str, ...],
    out: str | None,
    gates: bool,
    lanes: str | None,
    as_json: bool,
) -> None:
    """Verilog of a supporting module, equal to the simulated one in every bit and cycle; its gates.

    \b
    Example:
      archsim export-rtl dbp_unit --arch locoexnet-65nm -o dbp_unit.v
      archsim export-rtl all --gates --lanes 4,8,16,32

    UNIT is dbp_unit, branch_unit, exit_controller, requantiser, buffer_port, processing_element or pe_array (3 x 3);
    with --gates also all. Needs the extra rtl. Yosys, which it brings, takes a minute or more when it is started for
    the first time.
    """
    if out is None and not gates:
        raise click.UsageError("What is wanted? -o FILE writes Verilog, --gates prints gates.")
    if out is not None and unit == "all":
        raise click.UsageError("-o writes one unit.")
    if out is not None:
        _export(unit, arch, overrides, Path(out))
    if gates:
        _print_gates(unit, arch, overrides, _counts(lanes), as_json)


def _export(unit: str, arch: str, overrides: tuple[str, ...], path: Path) -> None:
    from archsim.config.load import load_arch
    from archsim.files import write_atomic
    from archsim.rtl.units import make_unit
    from archsim.rtl.verilog import verilog_of

    write_atomic(path, verilog_of(make_unit(unit, load_arch(arch, overrides)), unit).encode())
    note_files([str(path)])


def _counts(lanes: str | None) -> list[int | None]:
    if lanes is None:
        return [None]
    counts = lanes.split(",")
    if not all(count.isdecimal() and int(count) > 0 for count in counts):
        raise click.BadParameter(f'found "{lanes}", expected numbers like 4,8,16', param_hint="--lanes")
    return [int(count) for count in counts]


def _print_gates(
    unit: str, arch: str, overrides: tuple[str, ...], counts: list[int | None], as_json: bool
) -> None:
    from archsim.config.load import load_arch
    from archsim.rtl.units import COUNTED, unit_class

    names = COUNTED if unit == "all" else (unit,)
    for name in names:
        unit_class(name)

    from archsim.rtl.overhead import overhead_of  # needs the extra, which is there now

    keys = ("dbp_unit.lanes", "branch_unit.macs", "branch_unit.tap_lanes")
    archs = [
        load_arch(arch, [*overrides, *(f"{key}={count}" for key in keys if count is not None)])
        for count in counts
    ]
    found = [overhead_of(spec, names) for spec in archs]
    # Units without lanes are the same in all of them.
    rows = [row for overhead in found for row in overhead.rows() if row["lanes"] or overhead is found[0]]
    tables = {"units": sorted(rows, key=lambda row: names.index(row["unit"]))}
    if unit == "all":
        tables["overhead"] = [overhead.supporting_row() for overhead in found]
    if "branch_unit" in names:
        tables["classifiers"] = [row for overhead in found for row in overhead.classifier_rows()]
    if as_json:
        print_json({"arch": archs[0].name, **tables})
        return
    for index, table in enumerate(tables.values()):
        if index:
            click.echo()
        print_rows(table)


def print_rows(rows: list[dict[str, Any]]) -> None:
    """A table of rows with the same keys."""
    cells = [["-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
              for value in row.values()] for row in rows]  # fmt: skip
    print_table(list(rows[0]), cells, left={0} if "unit" in rows[0] else ())
