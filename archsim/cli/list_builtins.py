"""``archsim list``."""

from __future__ import annotations

import click

from archsim.cli.options import json_option
from archsim.cli.output import print_json, print_table, print_title


@click.command("list")
@json_option
def list_builtins(as_json: bool) -> None:
    """Built-in workloads, architectures, DRAM and energy tables.

    \b
    Example:
      archsim list
    """
    from archsim.cli.catalogue import catalogue

    sections = catalogue()
    if as_json:
        print_json(
            {kind: [{"name": name, "description": text} for name, text in rows] for kind, rows in sections}
        )
        return
    for kind, rows in sections:
        print_title(kind)
        print_table(("name", "description"), rows or [("(none)", "")], left=(0, 1))
        click.echo()
