"""Systolic arrays: weights, outputs or inputs stand still in the array while the other operands move through it.

One implementation of three dataflows, which differ in the axes that lie along the array
(:data:`archsim.mapping.systolic_folds.FORMS`). Folds and tiles: :mod:`archsim.mapping.systolic_folds`. Cycles and
bytes: :mod:`archsim.mapping.systolic_phases`. A PE has one register of each kind; the scratchpad sizes of the
architecture matter to energy alone.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from archsim.config.arch import ArchSpec
from archsim.errors import InvalidInput, Problem
from archsim.mapping.assemble import Finished, assemble, in_groups
from archsim.mapping.base import BoolArray, Int64Array, Placement, TilePlan, TileWork
from archsim.mapping.geometry import Geometry, Hardware, geometry_of, hardware_of
from archsim.mapping.given import given_systolic
from archsim.mapping.systolic_folds import FORMS, Folding, Form, SystolicMapping
from archsim.mapping.systolic_phases import ACTIONS, fetches_of, leaving, phases_of
from archsim.mapping.systolic_search import best_candidate, needed_bytes, problems_of, problems_with
from archsim.mapping.zeros import window_taps
from archsim.network.graph import Layer

PLANS_CACHED = 256


class _SystolicArray:
    """What the three dataflows share; ``name`` finds their axes."""

    name: str

    def plan(self, layer: Layer, arch: ArchSpec, placement: Placement) -> TilePlan:
        """Tiles of one layer with the mapping that the architecture gives, else with the cheapest.

        Plans are cached and their arrays are read-only. Raises :class:`~archsim.errors.InvalidInput` when PEs are to
        skip zeros or to start on their own (the array moves in lockstep), and when the buffer does not hold the given
        mapping, or any.
        """
        _check_options(arch)
        share, given = placement.share(layer.groups), given_systolic(arch, layer, self.name)
        if given is not None:
            problems = problems_with(geometry_of(layer), hardware_of(arch), FORMS[self.name], share, given)
            if problems:
                raise InvalidInput(problems)
            return self.plan_with(layer, arch, placement, given)
        return _searched_plan(geometry_of(layer), hardware_of(arch), FORMS[self.name], share)

    def plan_with(
        self, layer: Layer, arch: ArchSpec, placement: Placement, mapping: SystolicMapping
    ) -> TilePlan:
        """Tiles of one layer with a given mapping, whether or not the buffer holds it."""
        _check_options(arch)
        share = placement.share(layer.groups)
        return _plan(geometry_of(layer), hardware_of(arch), FORMS[self.name], share, mapping)

    def cost(self, layer: Layer, arch: ArchSpec, placement: Placement) -> int | None:
        """Relative cost of the plan, in units of :mod:`archsim.mapping.cost`; None when none fits."""
        share, given = placement.share(layer.groups), given_systolic(arch, layer, self.name)
        found = best_candidate(geometry_of(layer), hardware_of(arch), FORMS[self.name], share, given)
        return None if found is None else layer.groups * found.cost

    def work(self, layer: Layer, arch: ArchSpec, plan: TilePlan, nonzero: BoolArray) -> TileWork:
        """What the zeros of the images do to a plan: MACs are gated, cycles stay.

        nonzero: bool ([batch,] height, width, channels), input tensor != 0. Padding is zero.
        """
        geo = geometry_of(layer)
        maps = nonzero.reshape(-1, geo.height, geo.width, geo.groups * geo.channels)
        folding = Folding(geo, hardware_of(arch), FORMS[self.name], mapping_of(plan), len(maps))
        taps = np.concatenate([_taps(folding, part) for part in np.split(maps, geo.groups, axis=3)])
        return TileWork(
            plan.compute_cycles, taps[plan.group] * in_groups(folding.tiles.size["n"], geo.groups)
        )


class WeightStationary(_SystolicArray):
    """Systolic array that holds weights; activations and partial sums move (Google TPU; Jouppi et al., ISCA 2017)."""

    name = "weight_stationary"


class OutputStationary(_SystolicArray):
    """Systolic array that holds outputs; activations and weights move (Samajdar et al., ISPASS 2020)."""

    name = "output_stationary"


class InputStationary(_SystolicArray):
    """Systolic array that holds activations; weights and partial sums move (Samajdar et al., ISPASS 2020)."""

    name = "input_stationary"


def mapping_of(plan: TilePlan) -> SystolicMapping:
    """The mapping that a systolic plan was made with."""
    chosen = plan.mapping
    return SystolicMapping(
        steps_a_fold=chosen["steps_a_fold"],
        steps_a_tile=chosen["steps_a_tile"],
        positions_outer=bool(chosen["positions_outer"]),
        ifmap_stays=bool(chosen["ifmap_stays"]),
    )


def _check_options(arch: ArchSpec) -> None:
    array, where, lockstep = (
        arch.pe_array,
        f'architecture "{arch.name}"',
        "a systolic array moves in lockstep",
    )
    problems = []
    if array.zero == "skip":
        message = f'found "skip" with {array.dataflow}, expected "gate" or "none"'
        hint = f"{lockstep}: a zero can save the energy of its MAC, not its cycle"
        problems.append(Problem(where, "pe_array.zero", message, hint))
    if array.start == "arrival":
        message = f'found "arrival" with {array.dataflow}, expected "filled"'
        problems.append(Problem(where, "pe_array.start", message, lockstep))
    if problems:
        raise InvalidInput(problems)


@lru_cache(maxsize=PLANS_CACHED)
def _searched_plan(geo: Geometry, hw: Hardware, form: Form, placement: Placement) -> TilePlan:
    found = best_candidate(geo, hw, form, placement)
    if found is None:
        raise InvalidInput(problems_of(geo, hw, form, placement))
    return _plan(geo, hw, form, placement, found.mapping)


def _plan(
    geo: Geometry, hw: Hardware, form: Form, placement: Placement, mapping: SystolicMapping
) -> TilePlan:
    folding = Folding(geo, hw, form, mapping, placement.batch)
    tiles = folding.tiles
    position_bins, element_bins = (int(folding.bins(axis)[-1]) + 1 for axis in ("m", "k"))
    group = (tiles.group * position_bins + tiles.bin["m"]) * element_bins + tiles.bin["k"]
    streamed, drained = leaving(tiles, hw)
    finished = Finished.of(geo, hw, placement, np.where(tiles.final, streamed + drained, 0))
    real_words = _real_taps(folding)[group]
    return assemble(
        geo,
        hw,
        placement,
        phases_of(folding, real_words, finished.stored_bytes, finished.summand_bytes),
        fetches_of(folding, placement.ifmap_on_chip),
        finished,
        macs=tiles.macs,
        group=group,
        actions=ACTIONS,
        active_pes=int((tiles.size[form.rows] * tiles.size[form.cols]).max()),
        working_bytes=needed_bytes(folding, placement),
        mapping=_described(folding),
    )


def _described(folding: Folding) -> dict[str, int]:
    """The mapping and what follows from it."""
    mapping = folding.mapping
    return {
        "steps_a_fold": mapping.steps_a_fold,
        "steps_a_tile": mapping.steps_a_tile,
        "positions_outer": int(mapping.positions_outer),
        "folds": folding.folds,
        "weights_stay": int(folding.weights_stay),
        "ifmap_stays": int(mapping.ifmap_stays),
    }


def _real_taps(folding: Folding) -> Int64Array:
    geo = folding.geometry
    return _taps(folding, np.ones((folding.batch, geo.height, geo.width, geo.channels), np.bool_))


def _taps(folding: Folding, maps: BoolArray) -> Int64Array:
    """Per group of tiles: pairs of a position and a window element whose activation is not zero."""
    geo = folding.geometry
    window = (geo.kernel_rows, geo.kernel_cols, geo.stride_rows, geo.stride_cols, geo.pad_rows, geo.pad_cols)
    counts: Int64Array = window_taps(
        maps, window, geo.out_width, folding.bins("m"), folding.bins("k"), geo.depthwise
    )
    return counts.reshape(-1)
