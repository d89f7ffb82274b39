"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from archsim.results.defaults import DEFAULT_ARCH, DEFAULT_SEED, ENGINES

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


def run_options(*, engine: str, seeds: str, named: bool = True) -> Callable[[Command], Command]:
    """What a simulation is asked for besides its workload and ``--set``, ``--arch`` to ``--seed``.

    engine: used where none is named. seeds: what ``--seed`` is the seed of. named: whether options that are left out
    have their defaults; otherwise they are None, for a file to say.
    """

    def defaulting(name: str, value: object, text: str, **more: Any) -> Callable[[Command], Command]:
        if named:
            return click.option(name, help=text, default=value, show_default=True, **more)
        return click.option(name, help=f"{text.removesuffix('.')} (default: {value}).", **more)

    options: tuple[Callable[[Any], Any], ...] = (
        defaulting("--arch", DEFAULT_ARCH, "Accelerator: path or name.", metavar="A"),
        click.option(
            "--energy-table",
            metavar="T",
            help="Energy table: path or name (default: the one that the accelerator names).",
        ),
        images_option,
        data_option,
        defaulting(
            "--engine",
            engine,
            "How time is advanced; both give the same cycles, and tile runs where segment lacks the hardware.",
            type=click.Choice(ENGINES),
        ),
        click.option(
            "--arrivals",
            metavar="RATE_HZ|back-to-back",
            help="Queue the images before the accelerator: Poisson arrivals of a rate, or the next image the moment "
            "the accelerator is free (default: each image alone). Latency then includes waiting, energy the idle "
            "leakage.",
        ),
        defaulting("--seed", DEFAULT_SEED, f"Seed of {seeds}.", type=click.IntRange(0, 2**31 - 1)),
    )

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def worker_options(*, without: str) -> Callable[[Command], Command]:
    """``--jobs`` and ``--scheduler``. without: what happens where neither is given."""

    def decorate(command: Command) -> Command:
        scheduler = click.option(
            "--scheduler",
            metavar="ADDRESS",
            help='Use the workers of a Dask scheduler, tcp://HOST:8786; extra "cluster".',
        )
        jobs = click.option(
            "--jobs",
            type=click.IntRange(1, 1024),
            metavar="N",
            help=f"Worker processes (default: {without}).",
        )
        return jobs(scheduler(command))

    return decorate


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
