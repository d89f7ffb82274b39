"""Where the images of a run come from: a loaded workload and its images, another data set, or a stored trace."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from archsim.config.load import LoadedWorkload
from archsim.config.workload import WorkloadSpec
from archsim.datasets import ImageBatch, iter_images
from archsim.errors import InvalidInput, Problem
from archsim.functional.decide import Policy
from archsim.functional.executor import run
from archsim.functional.trace import FunctionalTrace
from archsim.functional.trace_io import load_trace
from archsim.network.graph import Network
from archsim.network.weights import Weights, load_weights, network_hash

Progress = Callable[[int, int], None]
"""Called with (images done, images in all; 0 when that is not known)."""

_BATCH_IMAGES = 200
"""Images whose zero maps are in memory at a time."""


@dataclass(frozen=True)
class Workload:
    """A network with its data. ``weights`` and ``network_hash`` are read on first use, which may raise InvalidInput."""

    loaded: LoadedWorkload
    network: Network

    @property
    def spec(self) -> WorkloadSpec:
        """The workload file."""
        return self.loaded.spec

    @property
    def path(self) -> Path:
        """Where the workload file is."""
        return self.loaded.path

    @cached_property
    def weights(self) -> Weights:
        """Checked arrays of all layers."""
        return load_weights(self.loaded.weights_path, self.network)

    @cached_property
    def network_hash(self) -> str:
        """SHA-256 (hex) of graph and weights."""
        return network_hash(self.network, self.weights)


@dataclass(frozen=True)
class Source:
    """Where images come from: ``path`` is a data set, or a functional trace that stands in for one (``is_trace``)."""

    workload: Workload
    path: Path
    is_trace: bool
    limit: int | None

    @classmethod
    def of(cls, workload: Workload, data: str | Path | None, limit: int | None) -> Source:
        """The data set asked for, else the workload's trace, else its sample images."""
        if limit is not None and limit < 1:
            raise InvalidInput([Problem("--images", "", f"found {limit}, expected 1 or more")])
        if data is not None:
            return cls(workload, Path(data), False, limit)
        trace, images = workload.loaded.trace_path, workload.loaded.images_path
        path = trace or images
        if path is None:
            message = "found neither a trace nor sample images in the workload"
            raise InvalidInput([Problem(str(workload.path), "images", message, "give images with --data")])
        return cls(workload, path, trace is not None, limit)

    def whole(self, policy: Policy, *, zero_maps: bool, progress: Progress | None) -> FunctionalTrace:
        """All images in one trace, each run to the end of the trunk."""
        if self.is_trace:
            return self._stored()
        batches = iter_images(self.path, _BATCH_IMAGES, limit=self.limit)
        return self._run(batches, policy, lazy=False, zero_maps=zero_maps, progress=progress)

    def parts(self, policy: Policy) -> Iterator[FunctionalTrace]:
        """Traces of some images at a time, computed only as far as the policy lets each image go."""
        if self.is_trace:
            yield self._stored()
            return
        for batch in iter_images(self.path, _BATCH_IMAGES, limit=self.limit):
            yield self._run([batch], policy, lazy=True, zero_maps=True, progress=None)

    def _run(
        self,
        batches: Iterable[ImageBatch],
        policy: Policy,
        *,
        lazy: bool,
        zero_maps: bool,
        progress: Progress | None,
    ) -> FunctionalTrace:
        return run(
            self.workload.network,
            self.workload.weights,
            batches,
            policy=policy,
            lazy=lazy,
            zero_maps=zero_maps,
            source=str(self.path),
            progress=progress,
        )

    def _stored(self) -> FunctionalTrace:
        trace = load_trace(self.path, self.workload.network, self.workload.network_hash)
        first = slice(0, self.limit)
        return dataclasses.replace(
            trace,
            labels=trace.labels[first],
            margins=trace.margins[first],
            predictions=trace.predictions[first],
            magnitude_sums=trace.magnitude_sums[first],
            zero_maps={name: bits[first] for name, bits in trace.zero_maps.items()},
        )
