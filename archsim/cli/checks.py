"""The checks of ``doctor``: Python, packages, extras, built-ins, kernel cache, and one small simulation run twice."""

from __future__ import annotations

import math
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata

from archsim import __version__
from archsim.errors import ArchsimError

_PACKAGES = ("click", "matplotlib", "numba", "numpy", "pydantic", "PyYAML", "rich", "simpy")
_EXTRAS = {
    "cluster": ("distributed",),
    "data": ("Pillow", "pooch", "pyarrow"),
    "dse": ("optuna",),
    "onnx": ("onnx",),
    "train": ("torch",),
}
_EXAMPLE = "digits"
_EXAMPLE_IMAGES = 4


@dataclass(frozen=True)
class Check:
    """``ok`` is None for something optional that is absent."""

    name: str
    ok: bool | None
    detail: str


def run_checks(progress: Callable[[int, int], None]) -> list[Check]:
    """All checks in order; progress is called with (checks done, 0)."""
    done: list[Check] = []
    for check in _checks():
        done.append(check)
        progress(len(done), 0)
    return done


def _checks() -> Iterator[Check]:
    yield Check("archsim", True, __version__)
    yield Check("python", sys.version_info >= (3, 11), f"{platform.python_version()} on {platform.system()}")
    for package in _PACKAGES:
        version = _version(package)
        yield Check(package, version is not None, version or "not installed")
    for extra, packages in _EXTRAS.items():
        versions = {package: _version(package) for package in packages}
        absent = [package for package, version in versions.items() if version is None]
        detail = ", ".join(f"{package} {version or 'missing'}" for package, version in versions.items())
        hint = f'; pip install "archsim[{extra}]"' if absent else ""
        yield Check(f"extra {extra}", None if absent else True, detail + hint)
    yield _guarded("built-in files", _builtin_files)
    yield _guarded("kernel cache", _kernel_cache)
    yield _guarded("small simulation", _small_simulation)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _guarded(name: str, look: Callable[[], Check]) -> Check:
    """A check whose failure must not hide those after it."""
    try:
        return look()
    except ArchsimError as error:
        return Check(name, False, str(error).partition("\n")[0])
    except Exception as error:
        return Check(name, False, f"{type(error).__name__}: {error}")


def _builtin_files() -> Check:
    from archsim.cli.catalogue import catalogue, unreadable

    sections = catalogue()
    broken = unreadable()
    counts = ", ".join(f"{len(rows)} {section.replace('_', ' ')}" for section, rows in sections)
    complete = not broken and all(rows for _, rows in sections)
    return Check("built-in files", complete, "; ".join([counts, *map(str, broken)]))


def _kernel_cache() -> Check:
    from archsim.kernels import conv

    kernels = [value for value in vars(conv).values() if hasattr(value, "stats")]
    path = kernels[0].stats.cache_path
    if path is None:
        return Check(
            "kernel cache", None, "no folder can be written: kernels compile in each run; set NUMBA_CACHE_DIR"
        )
    return Check("kernel cache", True, str(path))


def _small_simulation() -> Check:
    """A run must repeat exactly, every image must leave once, and the parts of its energy must add up."""
    from archsim.api import simulate

    first, second = (simulate(_EXAMPLE, images=_EXAMPLE_IMAGES).to_json() for _ in range(2))
    problems = []
    if {**first, "host": None} != {**second, "host": None}:
        problems.append("two runs differ")
    if sum(first["exits"].values()) != _EXAMPLE_IMAGES:
        problems.append("an image did not leave exactly once")
    energy = first["energy_uj_per_image"]
    if not math.isclose(energy["total"], math.fsum(layer["energy_uj"] for layer in first["layers"])):
        problems.append("the energies of the layers do not add up")
    if first["cycles"]["total"] <= 0:
        problems.append("no cycle passed")
    summary = f"{_EXAMPLE}: {first['cycles']['mean']:.0f} cycles, {energy['total']:.3f} uJ an image"
    return Check("small simulation", not problems, "; ".join([summary, *problems]))
