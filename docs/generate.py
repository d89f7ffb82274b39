"""Writes the tables of docs/reference from the code: ``python docs/generate.py``. A test asserts that they agree.

A generated part of a page stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; the rest is by hand. Keys,
values and defaults come from the models. So does the meaning of a key where its model tells it; where it does not, the
meaning is written in the last column of the table itself and kept.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from archsim.cli.main import COMMANDS, cli
from archsim.config.arch import ArchSpec
from archsim.config.dram import DramPresetSpec, DramRailSpec
from archsim.config.fields import expected, extra_place, field_places, place_of, tagged_members
from archsim.config.workload import BranchSpec, WorkloadSpec
from archsim.counters import ACTIONS
from archsim.exits.spec import ExitsBuildSpec
from archsim.explore.spec import RangeSpec, SweepSpec
from archsim.importing.operators import OPERATORS
from archsim.training.spec import TrainSpec

REFERENCE = Path(__file__).resolve().parent / "reference"
NOT_RUN = ("data", "export-rtl", "import", "train")
"""Commands whose examples cannot be run everywhere: packages, files or the network may be absent."""
Kept = dict[str, str]
"""Last cell of a row of the page as it is, by the first."""
_BLOCK = re.compile(
    r"(?P<begin><!-- generated: (?P<name>\S+) -->\n)(?P<body>.*?)(?P<end><!-- end -->)", re.DOTALL
)
_BAR = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Key:
    """One key of a file: as a table names it, which values fit, the default, what the model says about it."""

    name: str
    values: str
    default: str
    meaning: str


def generated(page: str) -> str:
    """The text of a page with every generated part made anew."""

    def renew(found: re.Match[str]) -> str:
        rows = [cells for cells in map(cells_of, found["body"].splitlines()) if cells]
        kept = {cells[0]: cells[-1] for cells in rows}
        return f"{found['begin']}\n{PARTS[found['name']](kept)}\n\n{found['end']}"

    return _BLOCK.sub(renew, page)


def cells_of(line: str) -> list[str]:
    """Cells of one line of a table, [] for any other line."""
    return [cell.strip() for cell in _BAR.split(line.strip())[1:-1]] if line.startswith("|") else []


def _table(header: tuple[str, ...], rows: Collection[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ("---",) * len(header), *rows))


def _escaped(text: str) -> str:
    return " ".join(text.replace("``", "`").replace("|", r"\|").split())


def keys_of(model: type[BaseModel], prefix: str = "", whole: Collection[str] = ()) -> Iterator[Key]:
    """Rows of a model. Keys of models inside it are dotted; those in ``whole`` are not taken apart."""
    for (name, place), field in zip(field_places(model).items(), model.model_fields.values(), strict=True):
        if place.model is not None and name not in whole:
            yield from keys_of(place.model, f"{prefix}{name}.")
        else:
            yield Key(
                prefix + name, _escaped(expected(place)), _default(field), _escaped(field.description or "")
            )
    free = extra_place(model)
    if free is not None and free.model is not None:
        yield from keys_of(free.model, f"{prefix}NAME.")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "see its keys"
    return f"`{json.dumps(value[0] if isinstance(value, tuple) else value)}`"


def key_table(keys: Iterator[Key], kept: Kept) -> str:
    """A table of keys; a meaning that no model tells is the one on the page."""
    rows = [(f"`{key.name}`", key.values, key.default, key.meaning) for key in keys]
    return _table(
        ("key", "value", "default", "what it is"),
        [(*row[:3], row[3] or kept.get(row[0], "")) for row in rows],
    )


def tagged_table(model: type[BaseModel], key: str, heading: str, kept: Kept) -> str:
    """Keys of all entries of a list whose kinds are told apart by one key. Kinds that agree in a key share its row."""
    place = place_of(get_args(field_places(model)[key].type)[0])
    tagged, tag_key = tagged_members(place), place.discriminator
    kinds: dict[Key, list[str]] = {}
    for tag, member in tagged.items():
        for found in keys_of(member):
            if found.name != tag_key:
                kinds.setdefault(found, []).append(tag)
    choices, first = ", ".join(f"`{tag}`" for tag in tagged), f"`{tag_key}`"
    rows = [(first, "all", f"one of {choices}", "required", kept.get(first, ""))]
    for found, tags in kinds.items():
        where = "all" if len(tags) == len(tagged) else ", ".join(f"`{tag}`" for tag in tags)
        name = f"`{found.name}`"
        rows.append((name, where, found.values, found.default, found.meaning or kept.get(name, "")))
    return _table(("key", heading, "value", "default", "what it is"), rows)


def action_table(_: Kept) -> str:
    """All countable actions."""
    rows = [(f"`{found.component}`", f"`{found.name}`", found.unit, found.sentence) for found in ACTIONS]
    return _table(("component", "action", "unit", "counted when"), rows)


def operator_table(_: Kept) -> str:
    """ONNX operators that can be imported."""
    rows = [(f"`{name}`", found.becomes, found.limits) for name, found in OPERATORS.items()]
    return _table(("operator", "becomes", "supported"), rows)


def commands(_: Kept) -> str:
    """One section a command: what its help says."""
    return "\n\n".join(_command_section(name) for name in COMMANDS)


def _command_section(name: str) -> str:
    context = click.Context(cli, info_name="archsim")
    command = cli.get_command(context, name)
    assert command is not None
    usage = " ".join(command.collect_usage_pieces(click.Context(command, info_name=name)))
    parts = [f"## archsim {name}", f"`archsim {name} {usage}`"]
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b\nExample:"):
            examples = [line.strip() for line in paragraph.splitlines()[2:]]
            parts.append(_example(name, examples))
        else:
            parts.append(paragraph)
    options = [_option_row(option) for option in command.params if isinstance(option, click.Option)]
    if options:
        parts.append(_table(("option", "default", "what it does"), options))
    return "\n\n".join(parts)


def _example(name: str, lines: list[str]) -> str:
    if name in NOT_RUN:
        return "\n".join(["```console", *(f"$ {line}" for line in lines), "```"])
    return "\n".join(["```bash", *lines, "```"])


def _option_row(option: click.Option) -> tuple[str, str, str]:
    value = "" if option.is_flag else f" {option.make_metavar(click.Context(cli))}"
    names = ", ".join(f"`{name}{value}`" for name in option.opts)
    default = "required" if option.required else f"`{option.default}`" if option.show_default else ""
    repeats = " May be repeated." if option.multiple and "repeated" not in (option.help or "") else ""
    return _escaped(names), default, _escaped(f"{option.help or ''}{repeats}")


PARTS: dict[str, Callable[[Kept], str]] = {
    "architecture": lambda kept: key_table(keys_of(ArchSpec), kept),
    "dram": lambda kept: key_table(keys_of(DramPresetSpec), kept),
    "dram-rail": lambda kept: key_table(keys_of(DramRailSpec), kept),
    "workload": lambda kept: key_table(keys_of(WorkloadSpec), kept),
    "layer": lambda kept: tagged_table(WorkloadSpec, "layers", "operators", kept),
    "mapping": lambda kept: tagged_table(ArchSpec, "mappings", "dataflows", kept),
    "branch": lambda kept: key_table(keys_of(BranchSpec), kept),
    "train": lambda kept: key_table(keys_of(TrainSpec, whole=("dataset", "input")), kept),
    "exits": lambda kept: key_table(keys_of(ExitsBuildSpec), kept),
    "sweep": lambda kept: key_table(keys_of(SweepSpec), kept),
    "sweep-range": lambda kept: key_table(keys_of(RangeSpec), kept),
    "onnx-operators": operator_table,
    "actions": action_table,
    "commands": commands,
}


def main() -> None:
    """Rewrite the pages whose generated parts have changed."""
    for path in sorted(REFERENCE.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        if (new := generated(text)) != text:
            path.write_text(new, encoding="utf-8")
            sys.stdout.write(f"wrote {path}\n")


if __name__ == "__main__":
    main()
