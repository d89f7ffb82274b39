"""Configuration by path or built-in name: read, extended, overridden, checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel

from archsim.config.arch import ArchSpec
from archsim.config.checks import (
    arch_problems,
    check_exits,
    workload_file,
    workload_problems,
)
from archsim.config.document import Document
from archsim.config.dram import DramPresetSpec
from archsim.config.energy import EnergyTableSpec
from archsim.config.extends import find_file, override, read_extended
from archsim.config.validation import validate
from archsim.config.workload import WorkloadSpec
from archsim.errors import InvalidInput, Problem, did_you_mean
from archsim.resources import Kind, builtin_path

__all__ = [
    "LoadedArch",
    "LoadedWorkload",
    "check_exits",
    "config_hash",
    "json_schema",
    "load_arch",
    "load_document",
    "load_dram_preset",
    "load_energy_table",
    "load_workload",
    "read_arch",
]

Model = TypeVar("Model", bound=BaseModel)
_SCHEMAS: dict[str, type[BaseModel]] = {
    "arch": ArchSpec,
    "dram": DramPresetSpec,
    "energy": EnergyTableSpec,
    "workload": WorkloadSpec,
}


@dataclass(frozen=True)
class LoadedArch:
    """An accelerator, the file it was asked for by, and where each of its values is written."""

    spec: ArchSpec
    path: Path
    document: Document


@dataclass(frozen=True)
class LoadedWorkload:
    """A workload, the file it was asked for by, and where each of its values is written."""

    spec: WorkloadSpec
    path: Path
    document: Document

    @property
    def weights_paths(self) -> tuple[Path, ...]:
        """The files of the weights, which exist; none for a shape-only workload."""
        return self._paths("weights")

    @property
    def images_path(self) -> Path | None:
        """The sample images that ship with the workload, which exist; None without."""
        return next(iter(self._paths("images")), None)

    @property
    def trace_paths(self) -> tuple[Path, ...]:
        """The files of the functional trace that ships with the workload, which exist; none without."""
        return self._paths("trace")

    def _paths(self, key: Literal["weights", "images", "trace"]) -> tuple[Path, ...]:
        return tuple(
            workload_file(self.document, place, name) for place, name in self.spec.files(key).items()
        )


def load_document(
    kind: Kind,
    model: type[Model],
    ref: str | Path,
    overrides: Sequence[str] = (),
    base: Document | None = None,
) -> tuple[Model, Document]:
    """Any kind of configuration file: the checked model and the document behind it.

    ref: a path, or the name of a built-in. overrides: ``key=value`` texts. base: what :func:`base_document` said of
    ``ref``, so that it is not read again.
    Raises InvalidInput listing every problem of file and overrides.
    """
    document, problems = override(base or base_document(kind, ref), overrides)
    (wanted,) = get_args(model.model_fields["schema_"].annotation)
    found = document.data.get("schema")
    if isinstance(found, str) and found != wanted:
        # Everything else would be wrong too: the file is of another kind.
        raise InvalidInput([document.problem("schema", f'found "{found}", expected "{wanted}"')])
    return validate(model, document, problems), document


def load_arch(ref: str | Path, overrides: Sequence[str] = ()) -> ArchSpec:
    """An accelerator; see :func:`read_arch`."""
    return read_arch(ref, overrides).spec


def base_document(kind: Kind, ref: str | Path) -> Document:
    """A file with all that it extends, before overrides. Raises InvalidInput where it cannot be read."""
    return read_extended(kind, find_file(kind, ref))


def read_arch(ref: str | Path, overrides: Sequence[str] = (), base: Document | None = None) -> LoadedArch:
    """An accelerator that can be built: its parts fit together, its DRAM preset and energy table exist.

    ref: a path, or the name of a built-in (``locoexnet-65nm``). overrides: ``pe_array.rows=16`` and the like. base:
    what :func:`base_document` said of ``ref``, for whoever tries many overrides.
    A DRAM preset or energy table given as a path is relative to the file that names it; the spec holds it absolute.
    Raises InvalidInput listing every problem.
    """
    spec, document = load_document(Kind.ARCH, ArchSpec, ref, overrides, base)
    problems: list[Problem] = []
    spec = _with_table(spec, document, problems)
    preset = _referenced(Kind.DRAM, spec.dram.preset, document, "dram.preset", problems)
    if preset is not None:
        dram = load_dram_preset(preset)
        problems += arch_problems(spec, dram, document)
        spec = spec.model_copy(update={"dram": spec.dram.model_copy(update={"preset": preset})})
    if problems:
        raise InvalidInput(problems)
    return LoadedArch(spec, document.path, document)


def _with_table(spec: ArchSpec, document: Document, problems: list[Problem]) -> ArchSpec:
    table = _referenced(Kind.ENERGY_TABLE, spec.energy_table, document, "energy_table", problems)
    return spec if table is None else spec.model_copy(update={"energy_table": table})


def _referenced(kind: Kind, ref: str, document: Document, key: str, problems: list[Problem]) -> str | None:
    """The reference, a path made absolute; None, and a problem, where there is no such file."""
    try:
        folder = Path() if document.is_override(key) else document.folder(key)
        found = find_file(kind, ref, document.where(key), key, folder)
    except InvalidInput as error:
        problems += error.problems
        return None
    return ref if found == builtin_path(kind, ref) else str(found.resolve())


def load_workload(ref: str | Path, overrides: Sequence[str] = ()) -> LoadedWorkload:
    """A workload whose files exist. The network is built by :func:`archsim.network.load.load_network`.

    ref: a path, or the name of a built-in. Raises InvalidInput listing every problem.
    """
    spec, document = load_document(Kind.WORKLOAD, WorkloadSpec, ref, overrides)
    problems = workload_problems(spec, document)
    if problems:
        raise InvalidInput(problems)
    return LoadedWorkload(spec, document.path, document)


def load_dram_preset(ref: str | Path) -> DramPresetSpec:
    """A DRAM preset by path or built-in name (``lpddr3-1600-x32``). Raises InvalidInput listing every problem."""
    return load_document(Kind.DRAM, DramPresetSpec, ref)[0]


def load_energy_table(ref: str | Path) -> EnergyTableSpec:
    """An energy table by path or built-in name (``65nm``). Raises InvalidInput listing every problem."""
    return load_document(Kind.ENERGY_TABLE, EnergyTableSpec, ref)[0]


def config_hash(model: BaseModel) -> str:
    """SHA-256 (64 hex digits) of a model as canonical JSON: keys sorted, defaults written out, no white space.

    Two files that mean the same hash the same, however they are written.
    """
    data = model.model_dump(mode="json", by_alias=True)
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def json_schema(name: str) -> dict[str, Any]:
    """JSON Schema, for editors, of ``arch``, ``dram``, ``energy`` or ``workload`` files.

    Raises InvalidInput for another name.
    """
    if name not in _SCHEMAS:
        raise InvalidInput(
            [Problem(name, "", "there is no schema of this name", did_you_mean(name, _SCHEMAS))]
        )
    schema = _SCHEMAS[name].model_json_schema(by_alias=True)
    # ``extends`` is resolved before the model sees the file; what is required may then stand in the base, and so may
    # what is required in a mapping inside. A list is replaced as a whole.
    description = "a built-in name, or a file relative to this one, whose values this file changes"
    schema["properties"]["extends"] = {"type": "string", "description": description}
    required = schema.pop("required")
    schema["anyOf"] = [{"required": ["extends", "name", "schema"]}, {"required": required}]
    for definition in _mappings(schema, schema.get("$defs", {}), set()):
        definition.pop("required", None)
    return schema


def _mappings(node: Any, definitions: dict[str, Any], seen: set[str]) -> Iterator[dict[str, Any]]:
    """The definitions that ``node`` leads to, itself left out, without those that only entries of lists have."""
    if not isinstance(node, dict):
        return
    name = str(node.get("$ref", "")).removeprefix("#/$defs/")
    if name and name not in seen:
        seen.add(name)
        yield definitions[name]
        yield from _mappings(definitions[name], definitions, seen)
    inner = [node.get("additionalProperties")]
    for key in ("properties", "patternProperties"):
        inner += node.get(key, {}).values()
    for key in ("anyOf", "oneOf", "allOf"):
        inner += node.get(key, [])
    for part in inner:
        yield from _mappings(part, definitions, seen)
