"""Where the images of a run come from: a loaded workload and its images, another data set, or a stored trace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from archsim.config.load import LoadedWorkload
from archsim.config.workload import WorkloadSpec
from archsim.datasets import ImageBatch, iter_images
from archsim.errors import InvalidInput, Problem
from archsim.functional.ahead import ahead
from archsim.functional.decide import Policy
from archsim.functional.executor import run
from archsim.functional.shape_only import shape_only_traces
from archsim.functional.trace import FunctionalTrace
from archsim.functional.trace_io import load_trace
from archsim.network.graph import Network
from archsim.network.weights import Weights, load_weights, network_hash, tensor_hashes
from archsim.network.zeros import zero_fractions
from archsim.progress import Progress
from archsim.results.defaults import DEFAULT_SEED

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
        """Checked arrays of all layers. Raises InvalidInput for a shape-only workload, which has none."""
        if self.spec.is_shape_only:
            message = "found no weights, expected some: without them nothing can be computed or decided"
            hint = "a shape-only workload can be simulated, described and swept"
            raise InvalidInput([Problem(str(self.path), "weights", message, hint)])
        return load_weights(self.loaded.weights_paths, self.network)

    @cached_property
    def network_hash(self) -> str:
        """SHA-256 (hex) of graph and weights, or of graph and zero fractions."""
        return network_hash(self.network, None if self.spec.is_shape_only else self.weights)

    @cached_property
    def tensor_hashes(self) -> dict[str, str]:
        """SHA-256 (hex) of what decides each tensor, by its name."""
        return tensor_hashes(self.network, self.weights)


@dataclass(frozen=True)
class Source:
    """Where images come from: ``path`` is a data set, or a functional trace that stands in for one (``is_trace``).

    A shape-only workload has neither; its ``limit`` images differ in their random zeros alone (``seed``).
    stored: the trace, where it has been read already.
    """

    workload: Workload
    path: Path
    is_trace: bool
    limit: int | None
    seed: int = DEFAULT_SEED
    stored: FunctionalTrace | None = None

    @classmethod
    def of(
        cls,
        workload: Workload,
        data: str | Path | FunctionalTrace | None,
        limit: int | None,
        seed: int = DEFAULT_SEED,
    ) -> Source:
        """The data set or trace asked for, else the workload's trace, its sample images, or given zeros (one image)."""
        if limit is not None and limit < 1:
            raise InvalidInput([Problem("--images", "", f"found {limit}, expected 1 or more")])
        if isinstance(data, FunctionalTrace):
            return cls(workload, workload.path, True, limit, stored=data)
        if workload.spec.is_shape_only:
            if data is not None:
                message = f"found images for {workload.spec.name}, which has no weights to run them with"
                raise InvalidInput([Problem("--data", "", message, "simulate it without --data")])
            return cls(workload, workload.path, False, limit or 1, seed)
        if data is not None:
            return cls(workload, Path(data), False, limit)
        traces, images = workload.loaded.trace_paths, workload.loaded.images_path
        path = traces[0] if traces else images
        if path is None:
            message = "found neither a trace nor sample images in the workload"
            raise InvalidInput([Problem(str(workload.path), "images", message, "give images with --data")])
        return cls(workload, path, bool(traces), limit)

    def whole(self, policy: Policy, *, zero_maps: bool, progress: Progress | None) -> FunctionalTrace:
        """All images in one trace, each run to the end of the trunk."""
        if self.is_trace:
            return self._stored()
        batches = iter_images(self.path, _BATCH_IMAGES, limit=self.limit)
        return self._run(batches, policy, lazy=False, zero_maps=zero_maps, progress=progress)

    def parts(self, policy: Policy) -> Iterator[FunctionalTrace]:
        """Traces of some images at a time, computed only as far as the policy lets each image go.

        Images are computed while the caller is busy with those before: two parts are in memory.
        """
        if self.is_trace:
            yield self._stored()
            return
        network = self.workload.network
        if self.workload.spec.is_shape_only:
            fractions, images = zero_fractions(network), self.limit or 1
            yield from shape_only_traces(network, fractions, images, self.seed)
            return
        batches = iter_images(self.path, _BATCH_IMAGES, limit=self.limit)
        yield from ahead(
            self._run([batch], policy, lazy=True, zero_maps=True, progress=None) for batch in batches
        )

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
        loaded = self.workload.loaded
        stored = self.stored or load_trace(
            loaded.trace_paths, self.workload.network, self.workload.tensor_hashes
        )
        return stored.rows(0, self.limit)
