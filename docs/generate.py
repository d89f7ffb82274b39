"""Writes the tables of the pages from code and records: ``python docs/generate.py``. A test asserts that they agree.

A generated part of a page stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; the rest is by hand. Keys,
values and defaults come from the models. So does the meaning of a key where its model tells it; where it does not, the
meaning is written in the last column of the table itself and kept.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from recorded import RECORDED, Kept, escaped, table

from archsim.cli.descriptions import unit_of
from archsim.cli.main import COMMANDS, cli
from archsim.config import extends, yaml_io
from archsim.config.arch import ArchSpec
from archsim.config.dram import DramPresetSpec, DramRailSpec
from archsim.config.energy import EnergyRowSpec, EnergyTableSpec
from archsim.config.fields import expected, extra_place, field_places, place_of, tagged_members
from archsim.config.workload import BranchSpec, WorkloadSpec
from archsim.counters import ACTIONS
from archsim.datasets import decode, image_set, tar
from archsim.exits.spec import ExitsBuildSpec
from archsim.explore.spec import RangeSpec, SweepSpec
from archsim.functional import trace_io
from archsim.importing import onnx_file, scalesim, scalesim_config, walk
from archsim.importing.operators import OPERATORS
from archsim.network import build, weights
from archsim.results import chrome_trace
from archsim.training.spec import TrainSpec
from archsim.validation import golden_csv

DOCS = Path(__file__).resolve().parent
REFERENCE = DOCS / "reference"
GENERATED = (
    *sorted(REFERENCE.glob("*.md")),
    DOCS / "explanation" / "trust.md",
    *sorted((DOCS / "model-cards").glob("*.md")),
)
NOT_RUN = ("data", "export-rtl", "import", "train")
"""Commands whose examples cannot be run everywhere: packages, files or the network may be absent."""
API = (
    "archsim:load",
    "archsim:evaluate",
    "archsim:simulate",
    "archsim:sweep",
    "archsim.comparison.run:compare",
    "archsim.results.read:read_run",
    "archsim.explore.table:read_table",
    "archsim.explore.table:SweepTable",
    "archsim.results.source:Workload",
    "archsim.energy.uncertainty:saving_range",
    "archsim.energy.uncertainty:ratio_range",
    "archsim.energy.uncertainty:Range",
    "archsim.report.figure:plot_files",
    "archsim.report.figure:draw",
    "archsim.exits.tables:CandidateTable",
    "archsim.exits.tables:Costs",
    "archsim.exits.structure:AccuracyGoal",
    "archsim.exits.structure:Search",
    "archsim.exits.safeguards:choose_safely",
    "archsim.exits.policy:ExitPolicy",
    "archsim.exits.policy:apply_policy",
    "archsim.exits.policy:mean_cost_fraction",
    "archsim.errors:InvalidInput",
)
"""What notebooks and scripts may rely on, in the order of the page: ``module:name``."""
WIDTH = 100
"""Of a line of a signature."""
_BLOCK = re.compile(
    r"(?P<begin><!-- generated: (?P<name>\S+) -->\n)(?P<body>.*?)(?P<end><!-- end -->)", re.DOTALL
)
_BAR = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Key:
    """One key of a file: as a table names it, which values fit, unit, default, what the model says about it."""

    name: str
    values: str
    unit: str
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


def keys_of(model: type[BaseModel], prefix: str = "", whole: Collection[str] = ()) -> Iterator[Key]:
    """Rows of a model. Keys of models inside it are dotted; those in ``whole`` are not taken apart."""
    for (name, place), field in zip(field_places(model).items(), model.model_fields.values(), strict=True):
        if place.model is not None and name not in whole:
            yield from keys_of(place.model, f"{prefix}{name}.")
        else:
            meaning = escaped(field.description or "")
            yield Key(prefix + name, escaped(expected(place)), unit_of(name), _default(field), meaning)
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
    rows = [(f"`{key.name}`", key.values, key.unit, key.default, key.meaning) for key in keys]
    return table(
        ("key", "value", "unit", "default", "what it is"),
        [(*row[:4], row[4] or kept.get(row[0], "")) for row in rows],
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
    rows = [(first, "all", f"one of {choices}", "", "required", kept.get(first, ""))]
    for found, tags in kinds.items():
        where = "all" if len(tags) == len(tagged) else ", ".join(f"`{tag}`" for tag in tags)
        name = f"`{found.name}`"
        meaning = found.meaning or kept.get(name, "")
        rows.append((name, where, found.values, found.unit, found.default, meaning))
    return table(("key", heading, "value", "unit", "default", "what it is"), rows)


def action_table(_: Kept) -> str:
    """All countable actions."""
    rows = [(f"`{found.component}`", f"`{found.name}`", found.unit, found.sentence) for found in ACTIONS]
    return table(("component", "action", "unit", "counted when"), rows)


def operator_table(_: Kept) -> str:
    """ONNX operators that can be imported."""
    rows = [(f"`{name}`", found.becomes, found.limits or "always") for name, found in OPERATORS.items()]
    return table(("operator", "becomes", "supported"), rows)


def api(_: Kept) -> str:
    """One section a function or class of the Python interface."""
    return "\n\n".join(_api_section(name) for name in API)


def _api_section(name: str) -> str:
    module, _, attribute = name.partition(":")
    thing = getattr(import_module(module), attribute)
    parts = [f"## {module}.{attribute}", _code(_signature(attribute, thing)), _prose(thing)]
    if inspect.isclass(thing):
        for method, function in vars(thing).items():
            if not method.startswith("_") and (
                inspect.isfunction(function) or isinstance(function, property)
            ):
                parts += [f"### {attribute}.{method}", _member(f"{attribute}.{method}", function)]
    return "\n\n".join(parts)


def _member(name: str, member: Any) -> str:
    if isinstance(member, property):
        shown = f"{name} -> {_annotation(inspect.signature(member.fget).return_annotation)}"
    else:
        shown = _signature(name, member)
    return f"{_code(shown)}\n\n{_prose(member)}"


def _code(text: str) -> str:
    return f"```py\n{text}\n```"


def _signature(name: str, thing: Any) -> str:
    """A call as a reader writes it; one parameter a line where a single line would be too long."""
    if inspect.isclass(thing) and issubclass(thing, Exception):
        return f"class {name}({thing.__mro__[1].__name__})"
    parameters, last = [], None
    for item in inspect.signature(thing).parameters.values():
        if item.kind is item.KEYWORD_ONLY and last is not item.KEYWORD_ONLY:
            parameters.append("*")
        last = item.kind
        star = "**" if item.kind is item.VAR_KEYWORD else ""
        default = "" if item.default is item.empty else f" = {_shown(item.default)}"
        annotation = "" if item.annotation is item.empty else f": {_annotation(item.annotation)}"
        if item.name != "self":
            parameters.append(f"{star}{item.name}{annotation}{default}")
    if inspect.isclass(thing):
        return _wrapped(f"class {name}", parameters, "")
    return _wrapped(name, parameters, f" -> {_annotation(inspect.signature(thing).return_annotation)}")


def _wrapped(name: str, parameters: list[str], result: str) -> str:
    line = f"{name}({', '.join(parameters)}){result}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {parameter}," for parameter in parameters), f"){result}"])


def _annotation(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _shown(default: Any) -> str:
    return f"{type(default).__name__}()" if dataclasses.is_dataclass(default) else repr(default)


def _prose(thing: Any) -> str:
    """A docstring as Markdown: roles and literals become code, doctests blocks."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", inspect.getdoc(thing) or "").replace("``", "`")
    blocks = [f"```pycon\n{block}\n```" if block.startswith(">>>") else block for block in text.split("\n\n")]
    return "\n\n".join(blocks)


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
        parts.append(table(("option", "default", "what it does"), options))
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
    return escaped(names), default, escaped(f"{option.help or ''}{repeats}")


def limit_table(_: Kept) -> str:
    """What files may ask for, from the constants that hold it."""
    rows = (
        ("YAML", "size, MiB", yaml_io, yaml_io.MAX_FILE_BYTES >> 20),
        ("YAML", "levels", yaml_io, yaml_io.MAX_DEPTH),
        ("YAML", "values", yaml_io, yaml_io.MAX_NODES),
        ("YAML", "values that aliases stand for", yaml_io, yaml_io.MAX_ALIAS_VALUES),
        ("YAML", "files that extend each other", extends, extends.MAX_EXTENDED),
        ("network", "values of a tensor", build, build.MAX_ELEMENTS),
        ("network", "weights of a layer", build, build.MAX_WEIGHTS),
        ("network", "MACs of a layer", build, build.MAX_MACS),
        ("weights", "size, MiB", weights, weights.MAX_WEIGHTS_BYTES >> 20),
        ("functional trace", "size, MiB", trace_io, trace_io.MAX_TRACE_BYTES >> 20),
        ("image", "side, px", image_set, image_set.MAX_SIDE_PX),
        ("images", "pixels of a batch, MiB", image_set, image_set.MAX_BATCH_BYTES >> 20),
        ("encoded image", "size, MiB", decode, decode.MAX_ENCODED_BYTES >> 20),
        ("tar", "unpacked, MiB", tar, tar.MAX_UNPACKED_BYTES >> 20),
        ("golden CSV", "size, MiB, unpacked", golden_csv, golden_csv.MAX_CSV_BYTES >> 20),
        ("timeline", "size, MiB", chrome_trace, chrome_trace.MAX_TIMELINE_BYTES >> 20),
        ("ONNX", "size, MiB; of its other files, too", onnx_file, onnx_file.MAX_MODEL_BYTES >> 20),
        ("ONNX", "nodes", onnx_file, onnx_file.MAX_NODES),
        ("ONNX", "times that constants are read", walk, walk.MAX_REPEATS),
        ("SCALE-Sim topology", "size, MiB", scalesim, scalesim.MAX_TOPOLOGY_BYTES >> 20),
        ("SCALE-Sim topology", "layers", scalesim, scalesim.MAX_ROWS),
        ("SCALE-Sim configuration", "size, MiB", scalesim_config, scalesim_config.MAX_CONFIG_BYTES >> 20),
    )
    places = [f"`{module.__name__.replace('.', '/')}.py`" for _, _, module, _ in rows]
    told = [(file, what, str(most), place) for (file, what, _, most), place in zip(rows, places, strict=True)]
    return table(("file", "what", "at most", "in"), told)


PARTS: dict[str, Callable[[Kept], str]] = {
    "architecture": lambda kept: key_table(keys_of(ArchSpec), kept),
    "dram": lambda kept: key_table(keys_of(DramPresetSpec), kept),
    "dram-rail": lambda kept: key_table(keys_of(DramRailSpec), kept),
    "workload": lambda kept: key_table(keys_of(WorkloadSpec), kept),
    "layer": lambda kept: tagged_table(WorkloadSpec, "layers", "operators", kept),
    "mapping": lambda kept: tagged_table(ArchSpec, "mappings", "dataflows", kept),
    "branch": lambda kept: key_table(keys_of(BranchSpec), kept),
    "train": lambda kept: key_table(keys_of(TrainSpec, whole=("dataset", "input")), kept),
    "energy": lambda kept: key_table(keys_of(EnergyTableSpec), kept),
    "energy-row": lambda kept: key_table(keys_of(EnergyRowSpec), kept),
    "exits": lambda kept: key_table(keys_of(ExitsBuildSpec), kept),
    "sweep": lambda kept: key_table(keys_of(SweepSpec), kept),
    "sweep-range": lambda kept: key_table(keys_of(RangeSpec), kept),
    "onnx-operators": operator_table,
    "actions": action_table,
    "api": api,
    "commands": commands,
    "limits": limit_table,
    **RECORDED,
}


def main() -> None:
    """Rewrite the pages whose generated parts have changed."""
    for path in GENERATED:
        text = path.read_text(encoding="utf-8")
        if (new := generated(text)) != text:
            path.write_text(new, encoding="utf-8")
            sys.stdout.write(f"wrote {path}\n")


if __name__ == "__main__":
    main()
