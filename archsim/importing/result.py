"""What ``import`` says about what it has made."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ImportResult:
    """A workload that was written, or an architecture.

    workload: its name, also that of an architecture, which has no layers. source: the file that was read. input: height
    x width x channels. parameters, macs: of the trunk. exits: names, the last ``final``. shape_only: nothing can be
    computed. top1_agreement: by exit, fraction of the calibration images to which integers and floating point give one
    answer. notes: what was read otherwise than it stands in the file. files: what was written.
    """

    workload: str
    source: str
    input: str = ""
    classes: int = 0
    layers: int = 0
    parameters: int = 0
    macs: int = 0
    exits: tuple[str, ...] = ()
    shape_only: bool = False
    calibration_images: int = 0
    top1_agreement: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return dataclasses.asdict(self)
