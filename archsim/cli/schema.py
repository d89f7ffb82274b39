"""``archsim schema``."""

from __future__ import annotations

import click

from archsim.cli.output import print_json

NAMES = ("workload", "arch", "energy", "dram", "train", "exits", "sweep")


@click.command()
@click.argument("name", type=click.Choice(NAMES))
def schema(name: str) -> None:
    """JSON Schema of a kind of YAML file, for editors.

    \b
    Example:
      archsim schema arch > arch.schema.json
    """
    if name == "train":
        from archsim.training.spec import TrainSpec

        print_json(TrainSpec.model_json_schema())
        return
    if name == "exits":
        from archsim.exits.spec import ExitsBuildSpec

        print_json(ExitsBuildSpec.model_json_schema())
        return
    if name == "sweep":
        from archsim.explore.spec import SweepSpec

        print_json(SweepSpec.model_json_schema())
        return
    from archsim.config.load import json_schema

    print_json(json_schema(name))
