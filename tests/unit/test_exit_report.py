"""The report of a choice on eight images, each of its numbers worked out by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from archsim.config.workload import DbpSpec
from archsim.exits.controls import random_skips
from archsim.exits.costs import counted_costs
from archsim.exits.cross_fit import CrossFit
from archsim.exits.policy import ExitPolicy, Window
from archsim.exits.report import Control, ExitsReport, OutOfFold, measured, report_of
from archsim.exits.safeguards import Certificate, Chosen
from archsim.exits.spec import ExitsBuildSpec
from archsim.exits.structure import Choice, Search, compare
from archsim.exits.tables import table_of_trace
from archsim.functional.statistics import paired_test
from archsim.functional.trace import FunctionalTrace
from archsim.results.paired import PairedAccuracy
from tests.builders import build, tiny_document

FULL = 12704
"""MACs: 2304 up to pool1, 3456 of conv2, 6912 of conv3, 32 of fc. Weights: 36 + 216 + 432 + 32 = 716."""


def head(name: str, after: str) -> dict[str, object]:
    layers = [{"name": "gap", "op": "global_avg_pool"}, {"name": "fc", "op": "linear", "units": 4}]
    return {"name": name, "after": after, "layers": layers}


def layers() -> list[dict[str, object]]:
    found: list[dict[str, object]] = tiny_document()["layers"]
    conv3 = {"name": "conv3", "op": "conv2d", "filters": 8, "kernel": 3, "padding": 1, "relu": True}
    return [*found[:3], conv3, *found[3:]]


NETWORK = build(
    tiny_document(layers=layers(), branches=[head("a", "pool1"), head("b", "conv2"), head("c", "gap")])
)
"""The branches have 16, 24 and 32 weights, and as many MACs."""

TRACE = FunctionalTrace(
    workload="tiny",
    exit_names=("a", "b", "c", "final"),
    labels=np.zeros(8, np.int64),
    margins=np.array(
        [
            *([9, 5, 0, 1], [9, 5, 0, 1], [1, 6, 0, 1], [1, 7, 0, 1]),
            *([6, 8, 0, 1], [2, 0, 0, 1], [1, 3, 0, 1], [4, 8, 0, 1]),
        ]
    ),
    predictions=np.array(
        [
            *([0, 0, 1, 0], [0, 0, 1, 0], [1, 0, 1, 0], [1, 0, 1, 0]),
            *([0, 1, 1, 1], [0, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0]),
        ]
    ),
    magnitude_sums=np.array([*([[5, 5, 5]] * 4), [9, 9, 9], [2, 6, 9], [5, 4, 9], [4, 1, 9]]),
    zero_maps={},
)
POLICY = ExitPolicy((5, 0, None), (Window(4), Window(3, 8), None))
"""Of the last four images one leaves at a; at b, which skips the last, leave two, the first of them skipped at a."""
SEARCHED = ExitPolicy((4, 0, None), (Window(4), Window(3), None))
"""The last one would leave at a."""


def spec(**changes: object) -> ExitsBuildSpec:
    return ExitsBuildSpec.model_validate(
        {
            **{"schema": "archsim.exits/1", "name": "small", "workload": "tiny", "objective": "macs"},
            **{"seed": 3, "accuracy": {"max_loss": 0.02}},
            **changes,
        }
    )


TABLE = table_of_trace(NETWORK, TRACE, counted_costs(NETWORK, "macs"))
FIRST, LAST = np.arange(4), np.arange(4, 8)


def report(*, certified: bool, cross_fits: tuple[CrossFit, ...] = ()) -> ExitsReport:
    rows_b, certificate = (LAST, CERTIFICATE) if certified else (None, None)
    rows_a = FIRST if certified else LAST
    chosen = Chosen(Search(), Choice(POLICY, 2.0), SEARCHED, rows_a, rows_b, certificate, cross_fits)
    return report_of(spec(), NETWORK, TABLE, chosen, TRACE, TRACE.rows(0, 2), None)


CERTIFICATE = Certificate(POLICY, 7, 9, compare(TABLE.rows(LAST), POLICY), 0.03, 0.02, 0.05)


def test_the_table_of_a_trace() -> None:
    assert (TABLE.names, TABLE.structures) == (("a", "b", "c"), ("global_avg_pool + linear",) * 3)
    assert TABLE.positions.tolist() == [1, 2, 4]
    assert TABLE.margins.tolist() == TRACE.margins[:, :3].tolist()
    assert TABLE.correct[5].tolist() == [True, False, False, True]
    assert (TABLE.costs.trunk.tolist(), TABLE.costs.full) == ([2304, 5760, 12672], FULL)


def test_what_is_measured_is_what_chose_nothing() -> None:
    found = report(certified=True)
    assert (found.images_searched, found.images_measured, found.certified) == (4, 4, True)
    assert (found.max_loss, found.p_value, found.path_step, found.path_steps) == (0.02, 0.03, 7, 9)
    assert (found.name, found.workload, found.objective, found.arch) == ("small", "tiny", "macs", None)
    assert (found.accuracy, found.full_network_accuracy) == (0.75, 0.75)
    assert dataclasses.astuple(found.paired.discordant) == (1, 1) and found.paired.delta_pp == 0
    weights = (36 + 16) + (252 + 24) + (252 + 16 + 24) + (716 + 16)
    assert found.params_used_fraction == weights / (4 * 716)
    macs = (2304 + 16) + (5760 + 24) + (5760 + 16 + 24) + (FULL + 16)
    assert found.macs_used_fraction == found.cost_fraction == macs / (4 * FULL)
    assert found.exits == {"a": 1, "b": 2, "final": 1}
    assert (found.predicted_cost_fraction, found.simulated_cost_fraction) == (None, None)
    assert (found.cross_fit, found.dearer, found.test, found.files) == (None, (), None, ())


def test_branches_are_told_with_what_they_did() -> None:
    found = report(certified=True)
    first, second = found.branches
    assert (first.name, first.after, first.structure) == ("a", "pool1", "global_avg_pool + linear")
    assert (first.threshold, first.dbp, first.weights) == (5, DbpSpec(min_sum=4), 16)
    assert (first.evaluated, first.skipped_by_dbp, first.exited) == (3, 1, 1)
    # Sums 9, 2, 5, 4 and margins 6, 2, 1, 4, of which 6 leaves: ranks differ by 0, 1, 2 and 1.
    assert (first.auc, first.true_skips, first.false_skips) == (1.0, 1 / 3, 0.0)
    assert first.spearman == pytest.approx(1 - 6 * 6 / (4 * 15))
    assert (second.name, second.threshold, second.dbp) == ("b", 0, DbpSpec(min_sum=3, max_sum=8))
    assert (second.evaluated, second.skipped_by_dbp, second.exited) == (2, 1, 2)
    assert (second.spearman, second.false_skips) == (-1.0, 1 / 3)
    assert math.isnan(second.auc) and math.isnan(second.true_skips), "every image would leave there"
    assert [dataclasses.astuple(rejected) for rejected in found.rejected] == [
        ("c", "gap", "global_avg_pool + linear", "at no threshold it earns what it costs")
    ]


def test_controls_are_measured_on_the_same_images() -> None:
    cost, accuracy = random_skips(TABLE.rows(LAST), POLICY, seed=3)
    assert report(certified=True).controls == {
        "oracle_exit": Control((2320 + 2320 + 5784 + FULL) / (4 * FULL), 1.0),
        "oracle_dbp": Control((2320 + 3 * 5784) / (4 * FULL), 0.5),
        "without_dbp": Control((2320 + 3 * 5800) / (4 * FULL), 0.5),
        # The first four images all leave at b, with a margin of 5: of the last ones two do.
        "single_exit": Control((2 * 5784 + 2 * (FULL + 24)) / (4 * FULL), 0.5),
        "searched": Control((2320 + 5784 + 5800 + 2320) / (4 * FULL), 0.5),
        "random_dbp": Control(cost / FULL, accuracy),
    }


def test_without_certification_the_images_of_the_search_are_measured() -> None:
    found = report(certified=False)
    assert (found.images_searched, found.images_measured, found.certified) == (4, 4, False)
    assert (found.p_value, found.path_step, found.path_steps) == (None, None, None)
    assert found.macs_used_fraction == report(certified=True).macs_used_fraction


def test_what_folds_said_of_the_choice_comes_before_what_they_said_of_others() -> None:
    right = np.array([True, True, False, True])
    fits = [
        CrossFit(Search(max_branches=limit), 3, price, paired_test(~right, right), cost)
        for limit, price, cost in ((2, 5.0, 0.4), (1, None, 0.5), (4, 7.0, 0.6))
    ]
    found = report(certified=False, cross_fits=tuple(fits))
    paired = PairedAccuracy.of(paired_test(~right, right))
    assert (paired.discordant.b, paired.discordant.c) == (1, 3)
    assert found.cross_fit == OutOfFold(2, 3, 5.0, paired, 0.4)
    assert found.dearer == (OutOfFold(1, 3, None, paired, 0.5), OutOfFold(4, 3, 7.0, paired, 0.6))


def test_the_report_as_plain_data() -> None:
    plain = report(certified=True).to_json()
    assert "paired" not in plain and plain["discordant"] == {"b": 1, "c": 1} and plain["delta_pp"] == 0
    first, second = plain["branches"]
    assert (first["dbp"], second["dbp"]) == ({"min_sum": 4, "max_sum": None}, {"min_sum": 3, "max_sum": 8})
    assert (first["auc"], second["auc"], second["true_skips"]) == (1.0, None, None)
    assert plain["controls"]["oracle_exit"] == {"cost_fraction": 23128 / (4 * FULL), "accuracy": 1.0}
    assert (plain["cuts"], plain["cross_fit"], plain["exits"]) == ([], None, {"a": 1, "b": 2, "final": 1})


def test_test_images_are_measured_by_the_workload_as_it_is_written() -> None:
    a, b, _ = NETWORK.branches
    kept = dataclasses.replace(
        NETWORK,
        branches=(
            dataclasses.replace(a, threshold=5, dbp=DbpSpec(min_sum=4)),
            dataclasses.replace(b, threshold=0, dbp=DbpSpec(min_sum=3, max_sum=8)),
        ),
    )
    trace = dataclasses.replace(
        TRACE.rows(4, None),
        exit_names=("a", "b", "final"),
        margins=TRACE.margins[4:, [0, 1, 3]],
        predictions=TRACE.predictions[4:, [0, 1, 3]],
        magnitude_sums=TRACE.magnitude_sums[4:, :2],
    )
    found, expected = measured(kept, trace), report(certified=True)
    assert found.images == 4
    for key in ("accuracy", "full_network_accuracy", "paired", "params_used_fraction", "exits"):
        assert getattr(found, key) == getattr(expected, key)
    assert found.macs_used_fraction == expected.macs_used_fraction
