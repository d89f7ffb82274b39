"""``archsim export-rtl``."""

from __future__ import annotations

from pathlib import Path

import click

from archsim.cli.options import json_option, set_option
from archsim.cli.output import note_files, print_json, print_table
from archsim.results.defaults import DEFAULT_ARCH


@click.command("export-rtl")
@click.argument("unit")
@click.option(
    "--arch", default=DEFAULT_ARCH, show_default=True, metavar="A", help="Accelerator that has the unit: path or name."
)
@set_option
@click.option("-o", "--out", metavar="FILE", help="Verilog file to write.")
@click.option(
    "--gates", is_flag=True, help="Print gates, flip-flops, levels and what they cost; all units where UNIT is all."
)
@json_option
def export_rtl(
    unit: str, arch: str, overrides: tuple[str, ...], out: str | None, gates: bool, as_json: bool
) -> None:
    """Verilog of a supporting module, equal to the simulated one in every bit and cycle; its gates.

    \b
    Example:
      archsim export-rtl dbp_unit --arch locoexnet-65nm -o dbp_unit.v
      archsim export-rtl dbp_unit --gates

    UNIT is dbp_unit, branch_unit, exit_controller or requantiser. Needs the extra rtl; Yosys, which it brings, takes a
    minute or more when it is started for the first time.
    """
    from archsim.config.load import load_arch
    from archsim.rtl.units import UNITS, make_unit

    if out is None and not gates:
        raise click.UsageError("What is wanted? -o FILE writes Verilog, --gates prints gates.")
    if out is not None and unit == "all":
        raise click.UsageError("-o writes one unit.")
    spec = load_arch(arch, overrides)
    names = tuple(UNITS) if unit == "all" else (unit,)
    made = [make_unit(name, spec) for name in names]
    if out is not None:
        from archsim.results.store import write_atomic
        from archsim.rtl.verilog import verilog_of

        write_atomic(Path(out), verilog_of(made[0], unit).encode())
        note_files([out])
    if gates:
        from archsim.rtl.overhead import overhead_of

        rows = overhead_of(spec, names).rows()
        if as_json:
            print_json({"arch": spec.name, "units": rows})
        else:
            print_table(list(rows[0]), [[str(value) for value in row.values()] for row in rows])
