"""Runs a network on images, in exact integers, and keeps the functional trace of it.

Every layer is computed once for the images that reach it. With ``lazy`` an image that leaves at a branch costs nothing
from there on, and a branch that DBP prunes is not evaluated; without it everything is computed for every image, so that
the trace serves any policy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from archsim.datasets.image_set import ImageBatch
from archsim.errors import InvalidInput, Problem
from archsim.functional.decide import Policy
from archsim.functional.layers import encode_images, run_classifier, run_layer
from archsim.functional.trace import NOT_COMPUTED, FunctionalTrace
from archsim.kernels.arrays import Activations, Int64Array
from archsim.kernels.compiler import thread_count
from archsim.kernels.margin import top_two
from archsim.kernels.sparsity import magnitude_sum, zero_map
from archsim.network.graph import IMAGE, Branch, Layer, Network
from archsim.network.weights import Weights
from archsim.progress import Progress

_PART_BYTES = 16 << 20
_MAX_PART_IMAGES = 32
_ACCUMULATOR_BYTES = 4


def run(
    network: Network,
    weights: Weights,
    batches: Iterable[ImageBatch],
    *,
    policy: Policy,
    lazy: bool,
    zero_maps: bool = True,
    source: str = "images",
    progress: Progress | None = None,
) -> FunctionalTrace:
    """The trace of a stream of images; apart from the trace, memory does not grow with their number.

    batches: images uint8 (N, H, W, C) with labels, any number of them; one :class:`ImageSet` is ``[image_set]``.
    policy: what decides with ``lazy``; without, it has no effect. zero_maps False leaves them out,
    for runs that nobody will simulate. source: file or data set, for messages.
    Images are spread over threads (``NUMBA_NUM_THREADS``); the result does not depend on them.
    Raises InvalidInput on images of another shape, labels that are no class, and an empty stream.
    """
    plan = _Plan.of(network, weights, policy, lazy, zero_maps)
    threads = thread_count()
    traces: list[FunctionalTrace] = []
    running: deque[Future[FunctionalTrace]] = deque()
    done = 0
    with ThreadPoolExecutor(threads) as pool:
        for part in _parts(network, batches, threads, source):
            running.append(pool.submit(_run_part, plan, part))
            if len(running) > 2 * threads:
                traces.append(running.popleft().result())
                done += traces[-1].images
                if progress:
                    progress(done, 0)
        traces += [future.result() for future in running]
    if not traces:
        raise InvalidInput([Problem(source, "", "found no images, expected at least one")])
    if progress:
        progress(sum(trace.images for trace in traces), 0)
    return concatenate(traces)


def check_images(network: Network, batch: ImageBatch, source: str) -> None:
    """Raises InvalidInput unless images uint8 (N, H, W, C) have the network's shape and labels are its classes."""
    expected = network.input_shape
    problems = []
    if batch.images.dtype != np.uint8 or batch.images.shape[1:] != (
        expected.height,
        expected.width,
        expected.channels,
    ):
        found = "x".join(str(length) for length in batch.images.shape[1:])
        message = f"found {batch.images.dtype} images of {found}, expected uint8 of {expected} as {network.name} reads"
        problems.append(Problem(source, "images", message, "use the data set that the workload names"))
    if len(batch) and not 0 <= batch.labels.min() <= batch.labels.max() < network.class_count:
        found = f"{batch.labels.min()} .. {batch.labels.max()}"
        message = f"found labels {found}, expected 0 .. {network.class_count - 1}"
        problems.append(Problem(source, "labels", message, "use the data set that the workload names"))
    if problems:
        raise InvalidInput(problems)


@dataclass(frozen=True)
class _Plan:
    """What all parts share. last_reader: position of the last trunk layer that reads a tensor."""

    network: Network
    weights: Weights
    policy: Policy
    lazy: bool
    recorded: frozenset[str]
    last_reader: dict[str, int]

    @classmethod
    def of(cls, network: Network, weights: Weights, policy: Policy, lazy: bool, zero_maps: bool) -> _Plan:
        recorded = {*network.zero_map_tensors, *network.branch_map_tensors} if zero_maps else ()
        last_reader = {name: index for index, layer in enumerate(network.layers) for name in layer.inputs}
        return cls(network, weights, policy, lazy, frozenset(recorded), last_reader)

    def reads(self, tensor: str, index: int) -> bool:
        """True while a trunk layer behind position ``index`` still reads the tensor."""
        return self.last_reader.get(tensor, -1) > index


def _parts(
    network: Network, batches: Iterable[ImageBatch], threads: int, source: str
) -> Iterator[ImageBatch]:
    """Pieces small enough for the caches, and at least one a thread where there are images enough."""
    image_bytes = max(
        layer.input_shape.elements + _ACCUMULATOR_BYTES * layer.output_shape.elements
        for layer in network.all_layers()
    )
    most = max(1, min(_MAX_PART_IMAGES, _PART_BYTES // image_bytes))
    for batch in batches:
        check_images(network, batch, source)
        size = max(1, min(most, -(-len(batch) // threads)))
        for start in range(0, len(batch), size):
            piece = slice(start, start + size)
            yield ImageBatch(batch.images[piece], batch.labels[piece])


def _run_part(plan: _Plan, part: ImageBatch) -> FunctionalTrace:
    return _Part(plan, part).run()


class _Part:
    """Some images on their way through the network. ``alive`` are the rows of those still under way."""

    def __init__(self, plan: _Plan, part: ImageBatch) -> None:
        self.plan, self.labels = plan, part.labels
        count, exits = len(part), len(plan.network.exit_names)
        self.alive = np.arange(count)
        self.margins = np.full((count, exits), NOT_COMPUTED, np.int64)
        self.predictions = np.full((count, exits), -1, np.int64)
        self.sums = np.full((count, exits - 1), NOT_COMPUTED, np.int64)
        self.zero_maps: dict[str, npt.NDArray[np.uint8]] = {}
        self.tensors: dict[str, Activations] = {}
        for name in plan.recorded:
            self.zero_maps[name] = np.zeros((count, -(-plan.network.shape(name).elements // 8)), np.uint8)
        self._keep(IMAGE, encode_images(part.images, plan.weights))

    def run(self) -> FunctionalTrace:
        network = self.plan.network
        for index, layer in enumerate(network.layers[:-1]):
            self._keep(layer.name, self._output(layer, self.tensors))
            for branch in network.branches_after(layer.name):
                self._meet(network.branches.index(branch), branch)
            # Only now: a branch may have been the last to read what has just been computed.
            self.tensors = {name: kept for name, kept in self.tensors.items() if self.plan.reads(name, index)}
            if not len(self.alive):
                break
        else:
            self._classify(-1, network.layers[-1], self.tensors, self.alive)
        return FunctionalTrace(
            network.name,
            network.exit_names,
            self.labels,
            self.margins,
            self.predictions,
            self.sums,
            self.zero_maps,
        )

    def _output(self, layer: Layer, tensors: dict[str, Activations]) -> Activations:
        inputs = [tensors[name] for name in layer.inputs]
        return run_layer(layer, self.plan.weights.layers.get(layer.name), inputs)

    def _keep(self, name: str, tensor: Activations) -> None:
        self.tensors[name] = tensor
        self._record(name, tensor, self.alive)

    def _record(self, name: str, tensor: Activations, rows: Int64Array) -> None:
        if name in self.zero_maps:
            self.zero_maps[name][rows] = zero_map(tensor)

    def _meet(self, index: int, branch: Branch) -> None:
        """Evaluate the branch for the images that want it, and with ``lazy`` let go those that leave."""
        policy, lazy = self.plan.policy, self.plan.lazy
        if lazy and not policy.exits_enabled:
            return
        tensor = self.tensors[branch.after]
        sums = magnitude_sum(tensor)
        self.sums[self.alive, index] = sums
        runs = policy.runs(index, sums) if lazy else np.ones(len(sums), np.bool_)
        if not runs.any():
            return
        rows = self.alive[runs]
        tensors = {branch.after: tensor[runs]}
        for layer in branch.layers[:-1]:
            tensors[layer.name] = self._output(layer, tensors)
            self._record(layer.name, tensors[layer.name], rows)
        self._classify(index, branch.layers[-1], tensors, rows)
        leaves = np.zeros(len(sums), np.bool_)
        leaves[runs] = policy.exits(index, self.margins[rows, index])
        if lazy and leaves.any():
            self.alive = self.alive[~leaves]
            self.tensors = {name: kept[~leaves] for name, kept in self.tensors.items()}

    def _classify(self, index: int, layer: Layer, tensors: dict[str, Activations], rows: Int64Array) -> None:
        logits = run_classifier(self.plan.weights.layers[layer.name], tensors[layer.inputs[0]])
        self.predictions[rows, index], self.margins[rows, index] = top_two(logits)


def concatenate(traces: list[FunctionalTrace]) -> FunctionalTrace:
    """Traces of the same network (one at least), one behind the other."""
    first = traces[0]
    return FunctionalTrace(
        first.workload,
        first.exit_names,
        np.concatenate([trace.labels for trace in traces]),
        np.concatenate([trace.margins for trace in traces]),
        np.concatenate([trace.predictions for trace in traces]),
        np.concatenate([trace.magnitude_sums for trace in traces]),
        {
            name: np.concatenate([trace.zero_maps[name] for trace in traces])
            for name in sorted(first.zero_maps)
        },
    )
