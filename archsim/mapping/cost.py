"""What mappings are compared by: bytes and cycles in one number, the same for all dataflows."""

from __future__ import annotations

from typing import TypeVar, cast

import numpy as np

from archsim.mapping.base import Int64Array, Placement
from archsim.mapping.geometry import Geometry, Hardware

DRAM_COST, BUFFER_COST, MAC_COST = 200, 6, 4
"""Energy of a word from DRAM, of one from the buffer and of a MAC with its scratchpads, in units of a MAC alone
(Chen et al., ISCA 2016, Table IV: 200, 6 and 1 + 3 x 1). They rank mappings; joules come from the energy table."""
PE_CYCLE_COST = 4
"""Clock and leakage of the chip for a cycle, per PE, in the same units: 205 mW at 200 MHz over 168 PEs are 6.1 pJ, the
6.3 pJ of a MAC with its scratchpads (both fitted to the published AlexNet layers of the chip)."""
LEXICAL = 1000
"""With ``pe_array.mapping: traffic`` a byte of DRAM counts as so many of the buffer, one of those as so many cycles;
with ``cycles`` a cycle as so many bytes of DRAM, one of those as so many of the buffer."""

Amount = TypeVar("Amount", int, Int64Array)


def weighted_cost(
    hw: Hardware, placement: Placement, dram_bytes: Amount, buffer_bytes: Amount, array_cycles: Amount
) -> Amount:
    """Bytes and time in one number; the time is the longer of the array's and the DRAM's. MACs cost extra."""
    cycles = np.maximum(array_cycles, -(-dram_bytes // placement.dram_bytes_per_cycle))
    if hw.objective == "traffic":
        return cast(Amount, LEXICAL * (LEXICAL * dram_bytes + buffer_bytes) + cycles)
    if hw.objective == "cycles":
        return cast(Amount, LEXICAL * (LEXICAL * cycles + dram_bytes) + buffer_bytes)
    moved = DRAM_COST * dram_bytes + BUFFER_COST * buffer_bytes
    return cast(Amount, moved + PE_CYCLE_COST * hw.rows * hw.cols * cycles)


def stored_bytes_of(geo: Geometry, hw: Hardware, placement: Placement) -> int:
    """Bytes of the tensor that the layer and what is fused with it write."""
    values = placement.stored_shape.elements if placement.stored_shape else geo.outputs
    values *= placement.batch
    return -(-values * (hw.psum_bits if geo.is_classifier else hw.activation_bits) // 8)


def summand_bytes_of(hw: Hardware, placement: Placement) -> int:
    """Bytes of the tensor that a fused ``add`` reads."""
    return -(-placement.summand_values * placement.batch * hw.activation_bits // 8)
