"""Images run through candidates, once for all choices that share workload and images."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Hashable, Iterable, Sequence

from archsim.datasets import ImageBatch
from archsim.exits.export import without_branches
from archsim.functional.decide import Policy
from archsim.functional.executor import run
from archsim.functional.trace import FunctionalTrace
from archsim.network.graph import FINAL, Network
from archsim.network.weights import Weights
from archsim.progress import Progress
from archsim.results.source import Workload

EVERYTHING = "*"


class CandidateRuns:
    """Functional traces of a workload through every branch that one of several choices asks for.

    patterns: names of branches, as in ``search.candidates`` and ``classifier``.
    """

    def __init__(self, patterns: Iterable[str] = (EVERYTHING,)) -> None:
        self._patterns = tuple(patterns)
        self._traces: dict[Hashable, FunctionalTrace] = {}

    def trace(
        self,
        workload: Workload,
        network: Network,
        classifier: str | None,
        batch: ImageBatch,
        source: Hashable,
        progress: Progress | None = None,
    ) -> FunctionalTrace:
        """What ``network``, which is the workload's with some branches and another classifier, does with images.

        source: identifies the images; those of an equal source are run once. progress: in images.
        """
        key = (workload.path, source)
        if key not in self._traces:
            kept = tuple(branch for branch in workload.network.branches if self._asks_for(branch.name))
            whole = dataclasses.replace(workload.network, branches=kept)
            weights = Weights.of(without_branches(workload.weights.arrays(), whole))
            self._traces[key] = run(
                whole,
                weights,
                [batch],
                policy=Policy.of(whole),
                lazy=False,
                zero_maps=False,
                progress=progress and (lambda done, _: progress(done, len(batch))),
            )
        return _through(self._traces[key], network.exit_names, classifier)

    def _asks_for(self, name: str) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self._patterns)


def _through(trace: FunctionalTrace, exits: Sequence[str], classifier: str | None) -> FunctionalTrace:
    """The columns of some exits, the last of them taken from another classifier."""
    columns = [trace.exit_names.index(classifier if classifier and name == FINAL else name) for name in exits]
    return dataclasses.replace(
        trace,
        exit_names=tuple(exits),
        margins=trace.margins[:, columns],
        predictions=trace.predictions[:, columns],
        magnitude_sums=trace.magnitude_sums[:, columns[:-1]],
    )
