"""``archsim doctor``."""

from __future__ import annotations

import click

from archsim.cli.options import json_option
from archsim.cli.output import print_json, print_table
from archsim.cli.progress import Progress


@click.command()
@json_option
def doctor(as_json: bool) -> int:
    """Check the installation with a small simulation.

    \b
    Example:
      archsim doctor

    Exit code 0 when everything that archsim needs is in order, 1 otherwise; a missing extra is no failure.
    """
    from archsim.cli.checks import run_checks

    with Progress("checking", "checks") as progress:
        checks = run_checks(progress.advance)
    if as_json:
        print_json(
            {
                "ok": all(check.ok is not False for check in checks),
                "checks": [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in checks],
            }
        )
    else:
        words = {True: "ok", False: "FAILED", None: "absent"}
        rows = [(check.name, words[check.ok], check.detail) for check in checks]
        print_table(("check", "result", "detail"), rows, left=(0, 1, 2))
    return 1 if any(check.ok is False for check in checks) else 0
