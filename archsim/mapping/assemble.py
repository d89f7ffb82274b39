"""From what a dataflow found out about its tiles to a :class:`~archsim.mapping.base.TilePlan`."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from archsim.mapping.base import Int64Array, Placement, TilePlan
from archsim.mapping.cost import stored_bytes_of, summand_bytes_of
from archsim.mapping.geometry import Geometry, Hardware, byte_count
from archsim.mapping.passes import Fetches, Phases


@dataclass(frozen=True)
class Finished:
    """Outputs that tiles finish, and their shares of what is written for the layer and of what a fused add reads."""

    outputs: Int64Array
    stored_bytes: Int64Array
    stored_offset_bytes: Int64Array
    summand_bytes: Int64Array
    summand_offset_bytes: Int64Array

    @classmethod
    def of(cls, geo: Geometry, hw: Hardware, placement: Placement, outputs: Int64Array) -> Finished:
        """Share out both tensors as tiles finish ``outputs``, int64 (tiles,)."""
        stored = shares(stored_bytes_of(geo, hw, placement), outputs)
        return cls(outputs, *stored, *shares(summand_bytes_of(hw, placement), outputs))


def assemble(
    geo: Geometry,
    hw: Hardware,
    placement: Placement,
    phases: Phases,
    fetches: Fetches,
    finished: Finished,
    *,
    macs: Int64Array,
    group: Int64Array,
    actions: tuple[tuple[str, str], ...],
    active_pes: int,
    working_bytes: int,
    mapping: dict[str, int],
) -> TilePlan:
    """The plan of all groups from the tiles of one, with its share of the placement.

    Its arrays are read-only copies. Keywords are fields of the plan, ``actions`` those of ``phases``.
    """
    columns = _columns(phases, load_bytes(fetches, hw), finished, placement)
    columns |= {"outputs": finished.outputs, "macs": macs, "group": group}
    steps = _group_steps(geo, hw, placement) | {"group": int(group.max()) + 1}
    counts = np.stack(np.broadcast_arrays(*phases.counts, macs)[:-1], axis=1)
    return TilePlan(
        layer=geo.name,
        actions=actions,
        counts=frozen(np.tile(counts, (geo.groups, 1))),
        active_pes=active_pes,
        working_bytes=working_bytes,
        mapping=mapping,
        **{
            name: frozen(in_groups(np.broadcast_to(column, macs.shape), geo.groups, steps.get(name, 0)))
            for name, column in columns.items()
        },
    )


def _columns(
    phases: Phases, loads: tuple[Int64Array, ...], finished: Finished, placement: Placement
) -> dict[str, Int64Array]:
    """Times and bytes of the tiles by field of the plan. loads: of :func:`load_bytes`."""
    return {
        "weight_load_bytes": loads[0],
        "weight_load_offset_bytes": loads[1],
        "ifmap_load_bytes": loads[2],
        "ifmap_load_offset_bytes": loads[3],
        "summand_load_bytes": finished.summand_bytes * (not placement.summand_on_chip),
        "summand_load_offset_bytes": finished.summand_offset_bytes,
        "store_bytes": finished.stored_bytes * (not placement.ofmap_on_chip),
        "store_offset_bytes": finished.stored_offset_bytes,
        **{field.name: getattr(phases, field.name) for field in fields(phases) if field.name != "counts"},
    }


def _group_steps(geo: Geometry, hw: Hardware, placement: Placement) -> dict[str, int]:
    """Bytes between the parts of two groups in DRAM; each part starts at a whole byte."""
    weights = geo.macs // (geo.out_height * geo.out_width)
    ifmap_words = geo.channels * geo.height * geo.width * placement.batch
    return {
        "weight_load_offset_bytes": -(-weights * hw.weight_bits // 8),
        "ifmap_load_offset_bytes": -(-ifmap_words * hw.activation_bits // 8),
        "summand_load_offset_bytes": summand_bytes_of(hw, placement),
        "store_offset_bytes": stored_bytes_of(geo, hw, placement),
    }


def in_groups(column: Int64Array, groups: int, step: int = 0) -> Int64Array:
    """The column of one group for all of them, larger by ``step`` from group to group.

    >>> in_groups(np.array([0, 5]), 3, 100).tolist()
    [0, 5, 100, 105, 200, 205]
    """
    columns: Int64Array = np.arange(groups)[:, np.newaxis] * step + column
    return columns.ravel()


def load_bytes(fetches: Fetches, hw: Hardware) -> tuple[Int64Array, Int64Array, Int64Array, Int64Array]:
    """Word ranges as byte ranges that tile the tensors, so that their sums are exact at any width."""
    ranges = []
    for words, offset, bits in (
        (fetches.weight_words, fetches.weight_offset_words, hw.weight_bits),
        (fetches.ifmap_words, fetches.ifmap_offset_words, hw.activation_bits),
    ):
        begin = byte_count(offset, bits)
        ranges += [byte_count(offset + words, bits) - begin, begin]
    return ranges[0], ranges[1], ranges[2], ranges[3]


def shares(size_bytes: int, outputs: Int64Array) -> tuple[Int64Array, Int64Array]:
    """A tensor shared out over tiles as they finish outputs: bytes and offsets, the bytes adding up exactly.

    >>> [column.tolist() for column in shares(10, np.array([1, 0, 2, 1]))]
    [[2, 0, 5, 3], [0, 2, 2, 7]]
    """
    ends = np.cumsum(outputs) * size_bytes // int(outputs.sum())
    return np.diff(ends, prepend=0), np.concatenate([[0], ends[:-1]])


def frozen(column: Int64Array) -> Int64Array:
    """A contiguous read-only int64 copy: plans are shared by everybody who asks for the same layer."""
    copy = np.array(column, np.int64)
    copy.setflags(write=False)
    return copy
