"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def data_option(command: Command) -> Command:
    """``--data``."""
    return click.option(
        "--data",
        metavar="PATH",
        help="Images to run instead of those that ship with the workload: Parquet, .npz, a CIFAR-10 folder or "
        "tar, or a folder per class.",
    )(command)


def images_option(command: Command) -> Command:
    """``--images``."""
    return click.option(
        "--images", type=click.IntRange(min=1), metavar="N", help="Only the first N images (default: all)."
    )(command)


def set_option(command: Command) -> Command:
    """``--set``."""
    return click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override one key of the architecture, for example pe_array.rows=8 or exits.NAME.threshold=1500; "
        "may be repeated.",
    )(command)


def json_option(command: Command) -> Command:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(command)
