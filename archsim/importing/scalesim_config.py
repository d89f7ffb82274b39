"""SCALE-Sim configurations (``.cfg``) as architecture files."""

from __future__ import annotations

import configparser
import tempfile
from pathlib import Path
from typing import Any

import yaml

from archsim.config.load import load_arch
from archsim.errors import InvalidInput, Problem
from archsim.files import read_bounded
from archsim.importing.result import ImportResult
from archsim.importing.walk import safe_name

MAX_CONFIG_BYTES = 1 << 20
_SECTION = "architecture_presets"
_DATAFLOWS = {"ws": "weight_stationary", "os": "output_stationary", "is": "input_stationary"}
_SIZES = ("ArrayHeight", "ArrayWidth", "IfmapSramSzkB", "FilterSramSzkB", "OfmapSramSzkB")
_MOST = {"ArrayHeight": 1024, "ArrayWidth": 1024}
_MOST_KIB = 1 << 18
_MOST_PORT_BYTES = 4096
"""A burst fills the port, and that is the largest burst."""
_NO_COUNTERPART = {
    "ifmapoffset": "addresses are chosen here",
    "filteroffset": "addresses are chosen here",
    "ofmapoffset": "addresses are chosen here",
    "bandwidth": "DRAM is simulated command by command: choose dram.preset",
    "interfacebandwidth": "DRAM is simulated command by command: choose dram.preset",
    "memorybanks": "choose global_buffer.banks",
}


def import_config(path: Path, target: Path) -> ImportResult:
    """Write the architecture of a configuration to ``target``. Raises InvalidInput listing every bad value by key."""
    values = _read(path)
    problems: list[Problem] = []
    sizes = {key: _size(path, values, key, problems) for key in _SIZES}
    dataflow = _DATAFLOWS.get(values.get("dataflow", "").lower())
    if dataflow is None:
        message = f'found "{values.get("dataflow", "")}", expected os, ws or is'
        problems.append(Problem(str(path), f"{_SECTION}.Dataflow", message))
    if problems or dataflow is None:
        raise InvalidInput(problems)
    rows, cols, *kib = sizes.values()
    document = _document(target, path, dataflow, rows, cols, kib)
    buffer, wanted = document["global_buffer"], _port_bytes(rows, cols)
    notes = [
        f"{key}: {why}, found {value} without counterpart"
        for key, value in values.items()
        if (why := _NO_COUNTERPART.get(key)) is not None
    ]
    notes.append(
        f"the three SRAMs are one buffer of {buffer['size_kib']} KiB, {buffer['filter_kib']} of them for filters"
    )
    notes.append("clock, DRAM, DMA and precision are those of dense-rs: 200 MHz, LPDDR3, 8 bits")
    if wanted > (port := buffer["port_bytes_per_cycle"]):
        notes.append(f"the buffer port is {port} bytes wide, the array could take {wanted}: it may wait")
    return ImportResult(
        workload=document["name"],
        source=str(path),
        notes=tuple(notes),
        files=(str(_write(document, target)),),
    )


def _port_bytes(rows: int, cols: int) -> int:
    """A power of two that holds what enters and leaves in a cycle: activations, sums in, sums out.

    >>> _port_bytes(16, 8)
    128
    """
    return 1 << (rows + 8 * cols - 1).bit_length()


def _document(
    target: Path, path: Path, dataflow: str, rows: int, cols: int, kib: list[int]
) -> dict[str, Any]:
    """The architecture file. kib: SRAM of maps, of filters, of outputs."""
    port_bytes, total_kib = min(_port_bytes(rows, cols), _MOST_PORT_BYTES), sum(kib)
    return {
        "schema": "archsim.arch/1",
        "name": safe_name(target.stem),
        "description": f"Imported from {path.name} (SCALE-Sim): {rows}x{cols}, {dataflow.replace('_', ' ')}",
        "extends": "dense-rs",
        "pe_array": {
            "rows": rows,
            "cols": cols,
            "dataflow": dataflow,
            "scratchpad": {"ifmap_words": 1, "filter_words": 1, "psum_words": 1},
            # What enters and leaves the array in a cycle: it never waits for its buses.
            "noc": {
                "ifmap_bytes_per_cycle": rows,
                "filter_bytes_per_cycle": cols,
                "psum_bytes_per_cycle": 4 * cols,
            },
        },
        "global_buffer": {
            "size_kib": total_kib,
            "filter_kib": kib[1],
            "banks": max(total_kib // 4, 1),
            "port_bytes_per_cycle": port_bytes,
            "burst_bytes": port_bytes,
        },
    }


def _read(path: Path) -> dict[str, str]:
    """Values of all sections by key in small letters."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(read_bounded(path, MAX_CONFIG_BYTES).decode("utf-8-sig"), str(path))
    except (UnicodeDecodeError, configparser.Error) as error:
        text = str(error).replace("\n", " ")
        raise InvalidInput([Problem(str(path), "", f"found no readable configuration ({text})")]) from None
    if _SECTION not in parser:
        message = f"found no section [{_SECTION}], expected a configuration of SCALE-Sim"
        raise InvalidInput([Problem(str(path), "", message)])
    return {key: value.strip() for section in parser.sections() for key, value in parser[section].items()}


def _size(path: Path, values: dict[str, str], key: str, problems: list[Problem]) -> int:
    text, most = values.get(key.lower(), ""), _MOST.get(key, _MOST_KIB)
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= most):
        message = f'found "{text}", expected an integer from 1 to {most}'
        problems.append(Problem(str(path), f"{_SECTION}.{key}", message))
        return 1
    return int(text)


def _write(document: dict[str, Any], target: Path) -> Path:
    """The file, once it has been read back with every check."""
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".archsim-import-") as folder:
            draft = Path(folder) / target.name
            draft.write_text(yaml.safe_dump(document, sort_keys=False, width=110), encoding="utf-8")
            load_arch(draft)
            return draft.replace(target)
    except OSError as error:
        raise InvalidInput([Problem(str(target), "", f"cannot be written ({error.strerror})")]) from None
