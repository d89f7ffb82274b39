"""What a reader is to the harness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Read = Callable[[Path], object]


@dataclass(frozen=True)
class Reader:
    """file: its name, in a folder of its own. kind: of damage. seeds: makes good files. read: reads one.

    is_slow: it needs several milliseconds, and gets fewer cases.
    """

    file: str
    kind: str
    seeds: Callable[[Path], list[bytes]]
    read: Read
    is_slow: bool = False
