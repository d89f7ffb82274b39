"""From what a command says to the description of a sweep."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from archsim.errors import InvalidInput, Problem
from archsim.explore.axis import parse_axis
from archsim.explore.spec import SampleSpec, SweepSpec, is_sweep_file, load_sweep_spec
from archsim.explore.store import SweepStore
from archsim.resources import Kind, builtin_path

_METHODS = {"lhs": "latin_hypercube", "latin_hypercube": "latin_hypercube", "random": "random"}


def requested_spec(
    source: str | None,
    sets: Sequence[str],
    constraints: Sequence[str],
    sample: str | None,
    changes: Mapping[str, Any],
    out_dir: Path,
) -> SweepSpec:
    """The sweep file ``source``, a new sweep over the workload ``source``, or what is in ``out_dir``.

    sets: ``KEY=VALUES``, over the space of the file. constraints: further ones. sample: ``METHOD:POINTS``. changes:
    other keys of the file; those that are None are as they were. Raises InvalidInput listing every problem.
    """
    problems: list[Problem] = []
    space: dict[str, Any] = {}
    for text in sets:
        try:
            axis = parse_axis(text)
            space[axis.key] = axis.interval or list(axis.values)
        except InvalidInput as error:
            problems += error.problems
    found: dict[str, Any] = {key: value for key, value in changes.items() if value is not None}
    if sample is not None:
        try:
            found["sample"] = parse_sample(sample, found.get("seed", 1))
        except InvalidInput as error:
            problems += error.problems
    if problems:
        raise InvalidInput(problems)
    base = _base(source, out_dir)
    found["space"] = {**base.space, **space}
    found["constraints"] = [*base.constraints, *constraints]
    return _with_whole_paths(base.model_copy(update=found))


def parse_sample(text: str, seed: int) -> SampleSpec:
    """``lhs:50`` or ``random:50``. Raises InvalidInput.

    >>> parse_sample("lhs:50", 1).method
    'latin_hypercube'
    """
    method, _, points = text.partition(":")
    if method not in _METHODS or not points.isdecimal() or not int(points):
        message = f'found "{text}", expected lhs:POINTS or random:POINTS'
        raise InvalidInput([Problem("--sample", "", message, "--sample lhs:50")])
    return SampleSpec.model_validate({"method": _METHODS[method], "points": int(points), "seed": seed})


def spec_of(workload: str | Path, **content: Any) -> SweepSpec:
    """A description that is called as the file of its workload, as far as that is a name. Raises as :func:`spec_from`.

    >>> spec_of("digits", images=4).name, spec_of("nets/2.5.yaml").name
    ('digits', 'n2-5')
    """
    name = re.sub(r"[^A-Za-z0-9_-]", "-", Path(workload).stem)
    name = name if name[:1].isalpha() else f"n{name}"
    return spec_from({"schema": "archsim.sweep/1", "name": name[:64], "workload": str(workload), **content})


def spec_from(content: Mapping[str, Any]) -> SweepSpec:
    """A description from plain values, as a program gives them. Raises InvalidInput listing every problem."""
    try:
        return _with_whole_paths(SweepSpec.model_validate(content))
    except ValidationError as error:
        raise InvalidInput(
            Problem("sweep", ".".join(map(str, found["loc"])), found["msg"]) for found in error.errors()
        ) from None


def _with_whole_paths(spec: SweepSpec) -> SweepSpec:
    """Relative paths made absolute: workers, and ``--resume``, may run in another folder."""
    refs = {"workload": Kind.WORKLOAD, "arch": Kind.ARCH, "energy_table": Kind.ENERGY_TABLE}
    whole = {
        key: str(Path(ref).absolute())
        for key, kind in refs.items()
        if (ref := getattr(spec, key)) is not None and not builtin_path(kind, ref) and Path(ref).is_file()
    }
    if spec.data is not None:
        whole["data"] = str(Path(spec.data).absolute())
    return spec.model_copy(update=whole)


def _base(source: str | None, out_dir: Path) -> SweepSpec:
    if source is None:
        with SweepStore.read(out_dir) as store:
            if store.spec is None:
                raise InvalidInput([Problem(str(out_dir), "", "found no sweep to go on with")])
            return store.spec
    if is_sweep_file(source):
        return load_sweep_spec(Path(source))
    return spec_of(source)
