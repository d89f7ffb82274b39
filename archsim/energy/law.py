"""Laws that energies follow: scaling between processes, and growth with the size of a memory."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence


def process_scale(node_nm: float, voltage_v: float, to_node_nm: float, to_voltage_v: float) -> float:
    """Factor on a switching energy between processes: capacitance ~ node, energy ~ C V**2.

    Horowitz's 45 nm, 0.9 V at 65 nm, 1.0 V:

    >>> round(process_scale(45, 0.9, 65, 1.0), 3)
    1.783
    """
    return (to_node_nm / node_nm) * (to_voltage_v / voltage_v) ** 2


def power_law(sizes: Sequence[float], values: Sequence[float], size: float) -> float:
    """Value at a size: straight lines between the points (sizes, values) on logarithmic axes.

    sizes: at least two, ascending. Beyond the ends the first and the last line go on; a size of 0 has the value of the
    first point.

    >>> power_law([1, 4, 16], [1, 2, 8], 2), power_law([1, 4, 16], [1, 2, 8], 64)
    (1.4142135623730951, 32.0)
    """
    if size <= 0:
        return values[0]
    right = min(max(bisect_right(sizes, size), 1), len(sizes) - 1)
    left = right - 1
    exponent = math.log(values[right] / values[left]) / math.log(sizes[right] / sizes[left])
    return float(values[left] * (size / sizes[left]) ** exponent)
