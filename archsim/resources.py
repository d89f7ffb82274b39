"""Where the files that ship with archsim lie: built-in workloads, energy tables and presets.

In a wheel ``workloads/`` and ``energy_tables/`` are inside the package (``archsim/_data``); in a checkout, and so in
an editable install, they lie beside it.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from archsim.files import is_file

PACKAGE_FOLDER = Path(__file__).resolve().parent


class Kind(Enum):
    """Kinds of file that can be named without a path; the value is how a message calls one."""

    ARCH = "architecture"
    DRAM = "DRAM preset"
    ENERGY_TABLE = "energy table"
    EXITS = "exits spec"
    TRAINING = "training spec"
    WORKLOAD = "workload"


_PRESETS = {Kind.ARCH: "presets", Kind.DRAM: "presets/dram"}
_DATA = {
    Kind.ENERGY_TABLE: "energy_tables",
    Kind.EXITS: "workloads/exits",
    Kind.TRAINING: "workloads/training",
    Kind.WORKLOAD: "workloads",
}


def folder(kind: Kind, package: Path = PACKAGE_FOLDER) -> Path:
    """Folder of the built-in files of one kind; ``package`` is the folder of the package archsim."""
    if kind in _PRESETS:
        return package / _PRESETS[kind]
    inside = package / "_data"
    return (inside if inside.is_dir() else package.parent) / _DATA[kind]


def builtin_names(kind: Kind, package: Path = PACKAGE_FOLDER) -> tuple[str, ...]:
    """Sorted names of the built-in files of one kind (``lpddr3-1600-x32`` for ``lpddr3-1600-x32.yaml``)."""
    return tuple(sorted(path.stem for path in folder(kind, package).glob("*.yaml")))


def builtin_path(kind: Kind, name: str, package: Path = PACKAGE_FOLDER) -> Path | None:
    """File of a built-in by name; None when there is none of this name."""
    path = folder(kind, package) / f"{name}.yaml"
    return path if path.stem == name and is_file(path) else None
