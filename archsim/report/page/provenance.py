"""How the run was configured, what it came from, and the commands that make it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from archsim.report.page.markup import Child, Html, el, join, table
from archsim.report.page.numbers import number, whole
from archsim.report.page.section import Section, details, says
from archsim.report.page.sources import Subject
from archsim.results.run_result import RunResult
from archsim.results.timeline import Timeline

_NOT_SHOWN = ("schema", "name", "description")


def configuration_section(subject: Subject) -> Section:
    """What was set, and every key of the accelerator where its file is found."""
    result = subject.result
    rows: list[list[Child]] = [
        ["workload", result.workload],
        ["accelerator", result.arch],
        ["DRAM", result.dram_preset],
        ["energy table", result.energy_table],
        ["settings (--set)", join(*_lines(result.overrides)) if result.overrides else "none"],
        ["arrivals", result.arrivals],
        ["engine", result.engine],
        ["seed", whole(result.seed, "seed")],
    ]
    parts: list[Child] = [table("Configuration", ("what", "value"), rows, left=(0, 1))]
    if subject.workload is not None:
        parts.append(_network(subject))
    if subject.arch is None:
        parts.append(
            says(
                f"The file of the accelerator {result.arch} with the hash of this run was not found. Give it with "
                "--arch to see all of its keys."
            )
        )
    else:
        dump = subject.arch.model_dump(mode="json", by_alias=True)
        keys: list[list[Child]] = [
            [el("code", key), el("code", plain(value))] for key, value in _flat(dump) if key not in _NOT_SHOWN
        ]
        parts.append(
            details(
                f"All {len(keys)} keys of {result.arch}, defaults included",
                table("Keys of the accelerator", ("key", "value"), keys, left=(0, 1)),
            )
        )
    return Section("configuration", "Configuration", join(*parts))


def provenance_section(subject: Subject) -> Section:
    """Version, hashes, and how to run it again."""
    result = subject.result
    hashes = ("config_hash", "network_hash", "dram_preset_hash", "energy_table_hash")
    hashed: list[list[Child]] = [[key, el("code", getattr(result, key), class_="hash")] for key in hashes]
    rows: list[list[Child]] = [
        ["archsim", result.version],
        *hashed,
        ["time on the host", join(number(result.host.wall_s, "host.wall_s"), " s")],
        ["peak memory on the host", join(number(result.host.peak_rss_mb, "host.peak_rss_mb"), " MB")],
    ]
    notes = [
        f"{words}: {', '.join(rows_of)}."
        for words, rows_of in (
            ("Rows of the energy table that this accelerator has no use for", result.energy_rows_unused),
            ("Rows used beyond the sizes that they hold for", result.energy_rows_extrapolated),
        )
        if rows_of
    ]
    return Section(
        "provenance",
        "Provenance",
        join(
            el("h3", "Run it again"),
            *_commands(subject),
            says(
                "Same version, same hashes, same numbers; only what the host needed differs. A result does not hold "
                "where its files were: a workload or accelerator that is not built in is given as the path of its "
                "file, images of your own with --data."
            ),
            el("h3", "Versions and hashes"),
            table("Provenance", ("what", "value"), rows, left=(0, 1)),
            says(
                "Hashes are SHA-256 of the accelerator with all defaults and settings, of graph and weights, of the "
                "DRAM preset and of the energy table."
            ),
            *(says(note) for note in notes),
        ),
    )


def simulate_command(result: RunResult, workload: str, arch: str, data: str | None) -> str:
    """The command line that makes a result.

    workload, arch: as they are to be named. data: images that do not ship with the workload.
    """
    words = ["archsim", "simulate", workload, "--arch", arch, "--energy-table", result.energy_table]
    words += ["--images", str(result.images)]
    words += ["--data", data] if data else []
    for override in result.overrides:
        words += ["--set", override]
    words += ["--engine", result.engine]
    words += ["--arrivals", result.arrivals] if result.arrivals != "alone" else []
    words += ["--seed", str(result.seed), "--out", "run"]
    return shlex.join(words + (_timeline_words(result.timeline) if result.timeline else []))


def _timeline_words(timeline: Timeline) -> list[str]:
    """Options that record the same cycles of the same image."""
    words = ["--timeline", str(timeline.image)]
    if timeline.is_truncated:  # it ends where it is full, and does so again
        return words + (
            ["--window", f"{timeline.from_cycle}:{timeline.cycles}"] if timeline.from_cycle else []
        )
    if (timeline.from_cycle, timeline.until_cycle) != (0, timeline.cycles):
        words += ["--window", f"{timeline.from_cycle}:{timeline.until_cycle}"]
    return words


def _commands(subject: Subject) -> list[Html]:
    asked, result = subject.asked, subject.result
    data = str(asked.data) if asked.data else None
    commands = [simulate_command(result, asked.workload or result.workload, asked.arch or result.arch, data)]
    commands.append("archsim report run")
    return [el("pre", el("code", "\n".join(commands)), tabindex="0")]


def _network(subject: Subject) -> Html:
    assert subject.workload is not None
    spec, network = subject.workload.spec, subject.workload.network
    shape = spec.input
    words = (
        f"{spec.dataset.name}, {spec.dataset.classes} classes; images of {shape.height} x {shape.width} x "
        f"{shape.channels}; {len(network.layers)} layers, {len(network.branches)} branches"
    )
    return says(f"{spec.description or spec.name}. {words}.")


def _lines(texts: tuple[str, ...]) -> Iterator[Html]:
    for text in texts:
        yield el("div", el("code", text))


def _flat(data: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Keys of inner objects dotted, as ``--set`` takes them."""
    for key, value in data.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def plain(value: Any) -> str:
    """A value of a configuration as its file would have it.

    >>> plain(None), plain(True), plain("skip")
    ('none', 'true', 'skip')
    """
    if value is None or value in ({}, []):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
