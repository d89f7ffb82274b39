"""Finding data sets by name, and setting images aside: the same for every command that trains or chooses."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archsim.datasets.image_set import invalid

_SPLIT_STREAM = 1
"""Distinguishes the random stream of the split from others with the same seed."""


def find_source(name: str, folders: Sequence[Path]) -> Path:
    """``name`` in the first of ``folders``, then ``$ARCHSIM_DATA``, that holds it; a file among them is taken itself.

    Raises InvalidInput naming every place searched.
    """
    environment = os.environ.get("ARCHSIM_DATA")
    places = [*folders, *([Path(environment)] if environment else [])]
    for place in places:
        found = place if place.is_file() else place / name
        if found.exists():
            return found
    hint = "give the folder that holds it with --data or in ARCHSIM_DATA"
    raise invalid(name, f"found in none of {', '.join(map(str, places)) or 'no folder'}", hint, "data")


def held_out_rows(images: int, held_out: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(rows set aside, the others), each ascending: a seeded shuffle of ``images`` rows."""
    order = np.random.default_rng([seed, _SPLIT_STREAM]).permutation(images)
    return np.sort(order[:held_out]), np.sort(order[held_out:])
