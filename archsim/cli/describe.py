"""``archsim describe``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archsim.cli.options import json_option, set_option
from archsim.cli.output import note_files, print_json, print_table, print_title
from archsim.cli.progress import Progress
from archsim.results.defaults import DEFAULT_ARCH

if TYPE_CHECKING:
    from archsim.cli.descriptions import Description


@click.command()
@click.argument("name", metavar="NAME|COMPONENT")
@click.option(
    "--arch",
    metavar="A",
    help=f"With energy: the accelerator (default: {DEFAULT_ARCH}). Of a workload: show its mappings on it.",
)
@click.option("--energy-table", metavar="T", help="With energy: the table (default: the one the arch names).")
@set_option
@click.option(
    "--save-mappings",
    metavar="FILE",
    help="Of a workload with --arch: write an architecture file that extends A and gives every layer its mapping.",
)
@json_option
def describe(
    name: str,
    arch: str | None,
    energy_table: str | None,
    overrides: tuple[str, ...],
    save_mappings: str | None,
    as_json: bool,
) -> None:
    """One built-in, one file or one hardware component in detail.

    \b
    Example:
      archsim describe pe_array

    NAME is a workload (its layers and branches), an architecture (all parameters with units), a DRAM preset or an
    energy table: a built-in name or the path of a file. COMPONENT is one of dram, global_buffer, noc, pe_array,
    branch_unit, dbp_unit, controller and leakage: its parameters and the actions counted of it. "energy" is an energy
    table on an accelerator: the pJ of every action, the rows they are made of with their sources, and the area.
    """
    from archsim.cli.descriptions import describe_name
    from archsim.cli.energy_description import NAME, describe_energy

    if name == NAME:
        if save_mappings:
            raise click.UsageError("--save-mappings is for a workload.")
        description = describe_energy(arch or DEFAULT_ARCH, energy_table, overrides)
    elif energy_table:
        raise click.UsageError("--energy-table is for: archsim describe energy.")
    elif arch is None and (overrides or save_mappings):
        raise click.UsageError("--set and --save-mappings need --arch.")
    else:
        description = describe_name(name)
        if arch is not None:
            description.tables[f"mappings on {arch}"] = _mappings(name, arch, overrides, save_mappings)
    if as_json:
        print_json(
            {"name": name, "kind": description.kind, "description": description.text, **description.tables}
        )
    else:
        _print(name, description)


def _mappings(name: str, arch: str, overrides: tuple[str, ...], save: str | None) -> list[dict[str, Any]]:
    from archsim.cli.mappings import mappings_of
    from archsim.files import write_atomic

    with Progress("mapping", "layers") as progress:
        found = mappings_of(name, arch, overrides, progress.advance)
    if save is not None:
        write_atomic(Path(save), found.file_text(arch, overrides).encode())
        note_files([save])
    return found.rows


def _print(name: str, description: Description) -> None:
    print_title(f"{name} ({description.kind})")
    if description.text:
        click.echo(description.text)
    for title, rows in description.tables.items():
        click.echo()
        print_title(title)
        if rows:
            header = list(rows[0])
            print_table(header, [[_cell(row[key]) for key in header] for row in rows], left=_words(rows))
        else:
            click.echo("(none)")


def _words(rows: list[dict[str, Any]]) -> set[int]:
    """Columns that hold text."""
    return {
        column
        for column, key in enumerate(rows[0])
        if any(isinstance(row[key], str) and row[key] for row in rows)
    }


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
