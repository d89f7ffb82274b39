"""``archsim``: the group of commands, and the one place where errors become messages and exit codes.

Command modules are imported when they are run, so that ``archsim --help`` needs nothing but click.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import click

from archsim import __version__
from archsim.errors import ArchsimError, did_you_mean

COMMANDS: dict[str, tuple[str, str]] = {
    "simulate": (
        "archsim.cli.simulate:simulate",
        "Cycles, energy and accuracy of a network on an accelerator.",
    ),
    "evaluate": (
        "archsim.cli.evaluate:evaluate",
        "Accuracy, exits and parameters used: what is computed, not when.",
    ),
    "sweep": (
        "archsim.cli.sweep:sweep",
        "Many simulations: a grid, a sample or a search over architecture, thresholds and energy tables.",
    ),
    "compare": (
        "archsim.cli.compare:compare",
        "Speed-up, energy saving and accuracy against baselines, and which step they come from.",
    ),
    "exits": (
        "archsim.cli.exits:exits",
        "Choose branches, thresholds and DBP bounds of a workload for least cost at a bounded loss of accuracy.",
    ),
    "train": ("archsim.cli.train:train", "Train a trunk with its branches and export an int8 workload."),
    "import": (
        "archsim.cli.import_network:import_network",
        "Make a workload of an ONNX model or a SCALE-Sim topology.",
    ),
    "plot": (
        "archsim.cli.plot:plot",
        "Plots of results: energy, latency, exits; of sweeps: Pareto front, heat map and others.",
    ),
    "report": (
        "archsim.cli.report:report",
        "One self-contained HTML page of a result: numbers, pictures, images, configuration, how to run it again.",
    ),
    "export-rtl": (
        "archsim.cli.export_rtl:export_rtl",
        "Verilog of a supporting module, equal to the simulated one in every bit and cycle; its gates.",
    ),
    "energy": ("archsim.cli.energy:energy", "Exchange energy tables with Accelergy and Timeloop."),
    "data": (
        "archsim.cli.data:data",
        "Download an official data set, checksummed, for --data and for training.",
    ),
    "validate": ("archsim.cli.validate:validate", "Errors of the simulation against ground truth."),
    "list": (
        "archsim.cli.list_builtins:list_builtins",
        "Built-in workloads, architectures, DRAM and energy tables.",
    ),
    "describe": (
        "archsim.cli.describe:describe",
        "One built-in, one file or one hardware component in detail.",
    ),
    "doctor": ("archsim.cli.doctor:doctor", "Check the installation with a small simulation."),
    "schema": ("archsim.cli.schema:schema", "JSON Schema of a kind of YAML file, for editors."),
}
"""Name of each command: where it is and its one-line help (the first line of its docstring)."""

INTERNAL_ERROR, USAGE_ERROR, INTERRUPTED = 1, 2, 130


class CommandGroup(click.Group):
    """A group whose commands are imported on use and whose errors have the exit codes of :mod:`archsim.errors`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with a hint at the nearest command."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f'No command "{args[0]}" ({did_you_mean(args[0], COMMANDS)}).', ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run and exit with the code of the outcome; nothing that goes wrong shows a traceback."""
        try:
            outcome = super().main(*args, **{**extra, "prog_name": "archsim", "standalone_mode": False})
            code = outcome if isinstance(outcome, int) else 0
        except Exception as error:
            code = _report(error)
        sys.exit(code)


def _report(error: Exception) -> int:
    """Say on stderr what went wrong; returns the exit code."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.Abort):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, ArchsimError):
        click.echo(str(error), err=True)
        return error.exit_code
    if os.environ.get("ARCHSIM_DEBUG") == "1":
        import traceback

        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    click.echo(f"internal error: {type(error).__name__}: {error}", err=True)
    click.echo(
        "This is a bug of archsim. Please report it with the command, the output of `archsim doctor` and of the "
        "same command under ARCHSIM_DEBUG=1.",
        err=True,
    )
    return INTERNAL_ERROR


@click.group(
    cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="archsim")
def cli() -> None:
    """Cycle-accurate simulation of CNN accelerators for networks that decide while they run.

    \b
    Example:
      archsim simulate digits --images 64

    WORKLOAD, architectures and energy tables are a path or a built-in name (archsim list). Results go to stdout,
    progress and notes to stderr. Exit codes: 0 done, 1 internal error, 2 usage, 3 invalid input, 4 simulation
    failed, 5 missing extra, 6 points of a sweep failed, 130 interrupted.
    """


def main() -> None:
    """Entry point of the ``archsim`` script."""
    cli()
