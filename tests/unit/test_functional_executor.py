"""The executor against the oracle, image by image, and lazy execution against full execution."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.config.workload import DbpSpec
from archsim.datasets.image_set import ImageBatch
from archsim.errors import InvalidInput
from archsim.functional.decide import Decisions, Policy, decide
from archsim.functional.executor import concatenate, run
from archsim.functional.trace import NOT_COMPUTED
from archsim.network.graph import IMAGE
from archsim.network.weights import Weights
from tests.builders import build, random_weights
from tests.oracle import functional_oracle as oracle
from tests.unit.functional_cases import EVERY_OPERATOR, every_operator, image_batch

THRESHOLDS = st.one_of(st.none(), st.integers(-1, 4000), st.sampled_from([-(1 << 31), 1 << 32]))
BOUNDS = st.one_of(
    st.none(),
    st.builds(DbpSpec, min_sum=st.integers(0, 2500), max_sum=st.one_of(st.none(), st.integers(0, 2500))),
)


def policies(network):
    count = len(network.branches)
    return st.builds(
        Policy,
        st.just(tuple(branch.name for branch in network.branches)),
        st.tuples(*[THRESHOLDS] * count),
        st.tuples(*[BOUNDS] * count),
        st.booleans(),
        st.booleans(),
    )


NETWORK, WEIGHTS = every_operator()
TRACE = run(NETWORK, WEIGHTS, [image_batch(40)], policy=Policy.of(NETWORK), lazy=False)


def assert_equal(left: Decisions, right: Decisions) -> None:
    for field in dataclasses.fields(Decisions):
        np.testing.assert_array_equal(getattr(left, field.name), getattr(right, field.name))


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1), policies(NETWORK))
def test_traces_and_decisions_equal_the_oracle(seed, policy):
    network, weights = every_operator(seed)
    batch = image_batch(6, seed)
    trace = run(network, weights, [batch], policy=policy, lazy=False)
    decisions = decide(trace, policy)
    for n, image in enumerate(batch.images):
        tensors = oracle.forward(network, weights, image)
        for e, name in enumerate(trace.exit_names):
            classifier = network.layers[-1] if name == "final" else network.branches[e].layers[-1]
            assert (trace.predictions[n, e], trace.margins[n, e]) == oracle.top_two(
                tensors[classifier.name].ravel()
            )
        for b, branch in enumerate(network.branches):
            assert trace.magnitude_sums[n, b] == np.abs(tensors[branch.after]).sum()
        for name, bits in trace.zero_maps.items():
            expected = np.packbits(tensors[name].ravel() == 0, bitorder="little")
            np.testing.assert_array_equal(bits[n], expected, err_msg=name)
        walked = oracle.walk(network, tensors, policy)
        assert trace.exit_names[decisions.exit_index[n]] == walked.exit_name
        assert trace.predictions[n, decisions.exit_index[n]] == walked.prediction
        for b, branch in enumerate(network.branches):
            assert decisions.evaluated[n, b] == (branch.name in walked.evaluated)
            assert decisions.skipped[n, b] == (branch.name in walked.skipped)


def test_zero_maps_are_kept_for_the_inputs_of_compute_layers_adds_and_branches():
    of_branches = {"sum", "early.gap", "high", "late.conv"}
    assert set(TRACE.zero_maps) == {IMAGE, "stem", "low", "mean", "hidden", "deep", *of_branches}
    without = run(NETWORK, WEIGHTS, [image_batch(2)], policy=Policy.of(NETWORK), lazy=False, zero_maps=False)
    assert without.zero_maps == {}


@settings(max_examples=40)
@given(policies(NETWORK))
def test_lazy_execution_decides_as_full_execution(policy):
    lazy = run(NETWORK, WEIGHTS, [image_batch(40)], policy=policy, lazy=True)
    decisions = decide(TRACE, policy)
    assert_equal(decide(lazy, policy), decisions)
    rows, exits = np.arange(40), decisions.exit_index
    np.testing.assert_array_equal(lazy.predictions[rows, exits], TRACE.predictions[rows, exits])
    reached = np.ones((40, 3), bool) if policy.exits_enabled else np.zeros((40, 3), bool)
    reached &= np.arange(3) <= exits[:, None]
    reached[:, 2] = exits == 2
    computed = reached.copy()
    computed[:, :2] &= decisions.evaluated
    np.testing.assert_array_equal(lazy.margins, np.where(computed, TRACE.margins, NOT_COMPUTED))
    np.testing.assert_array_equal(lazy.predictions, np.where(computed, TRACE.predictions, -1))
    sums = np.where(reached[:, :2], TRACE.magnitude_sums, NOT_COMPUTED)
    np.testing.assert_array_equal(lazy.magnitude_sums, sums)


def test_lazy_zero_maps_end_where_the_image_leaves():
    policy = Policy.of(NETWORK, dbp_enabled=False)
    lazy = run(NETWORK, WEIGHTS, [image_batch(40)], policy=policy, lazy=True)
    left_early = decide(lazy, policy).exit_index == 0
    assert 0 < left_early.sum() < 40
    # "early" hangs behind "sum"; of the recorded tensors "image" and "stem" come before it.
    for name in (IMAGE, "stem", "sum", "early.gap"):
        np.testing.assert_array_equal(lazy.zero_maps[name], TRACE.zero_maps[name])
    for name in ("low", "mean", "hidden", "high", "late.conv"):
        assert not lazy.zero_maps[name][left_early].any()
    stayed = decide(lazy, policy).exit_index > 0
    np.testing.assert_array_equal(lazy.zero_maps["low"][stayed], TRACE.zero_maps["low"][stayed])


def test_the_result_depends_on_neither_batches_nor_threads(monkeypatch):
    batch = image_batch(40)
    cuts = [0, 1, 1, 17, 40]
    pieces = [ImageBatch(batch.images[a:b], batch.labels[a:b]) for a, b in itertools.pairwise(cuts)]
    monkeypatch.setattr("archsim.functional.executor.thread_count", lambda: 3)
    done: list[tuple[int, int]] = []
    trace = run(
        NETWORK,
        WEIGHTS,
        iter(pieces),
        policy=Policy.of(NETWORK),
        lazy=False,
        progress=lambda *args: done.append(args),
    )
    for field in ("labels", "margins", "predictions", "magnitude_sums"):
        np.testing.assert_array_equal(getattr(trace, field), getattr(TRACE, field))
    for name, bits in trace.zero_maps.items():
        np.testing.assert_array_equal(bits, TRACE.zero_maps[name])
    assert done == sorted(done) and done[-1] == (40, 0)


@pytest.mark.parametrize("keep", [0, 1])
def test_removing_a_branch_leaves_the_others_alone(keep):
    """Prefix property: what an image meets does not depend on branches elsewhere."""
    document = {**EVERY_OPERATOR, "branches": [EVERY_OPERATOR["branches"][keep]]}
    network = build(document)
    weights = Weights.of({key: WEIGHTS.arrays()[key] for key in random_weights(network)})
    trace = run(network, weights, [image_batch(40)], policy=Policy.of(network), lazy=False)
    index = TRACE.exit_names.index(network.branches[0].name)
    np.testing.assert_array_equal(trace.margins, TRACE.margins[:, [index, 2]])
    np.testing.assert_array_equal(trace.magnitude_sums[:, 0], TRACE.magnitude_sums[:, index])


def test_images_of_another_shape_and_labels_that_are_no_class():
    wrong = ImageBatch(np.zeros((2, 9, 7, 3), np.uint8), np.array([0, 3]))
    with pytest.raises(InvalidInput) as caught:
        run(NETWORK, WEIGHTS, [wrong], policy=Policy.of(NETWORK), lazy=True, source="cats.npz")
    texts = [str(problem) for problem in caught.value.problems]
    assert texts[0].startswith(
        "cats.npz: images: found uint8 images of 9x7x3, expected uint8 of 9x7x2 as every reads"
    )
    assert texts[1].startswith("cats.npz: labels: found labels 0 .. 3, expected 0 .. 2")
    assert len(texts) == 2


def test_no_images_at_all():
    with pytest.raises(InvalidInput, match=r"none\.npz: found no images"):
        run(NETWORK, WEIGHTS, [], policy=Policy.of(NETWORK), lazy=True, source="none.npz")


def test_concatenated_traces_are_the_trace_of_all_images():
    batch = image_batch(40)
    halves = [ImageBatch(batch.images[piece], batch.labels[piece]) for piece in (slice(0, 13), slice(13, 40))]
    traces = [run(NETWORK, WEIGHTS, [half], policy=Policy.of(NETWORK), lazy=False) for half in halves]
    whole = concatenate(traces)
    np.testing.assert_array_equal(whole.margins, TRACE.margins)
