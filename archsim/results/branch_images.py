"""What each branch compared and decided, image by image, from the functional trace of a run. Pure."""

from __future__ import annotations

import numpy as np

from archsim.functional.decide import Decisions, Policy
from archsim.functional.trace import NOT_COMPUTED, FunctionalTrace
from archsim.results.run_result import BranchImage

SKIPPED, PASSED, LEFT = "skipped", "passed", "left"
"""What became of an image at a branch: DBP skipped it, it was evaluated and the image went on, or the image left."""


def branch_images(trace: FunctionalTrace, decisions: Decisions, policy: Policy) -> tuple[BranchImage, ...]:
    """One entry an image and branch that it met, branch by branch in order; none of a shape-only network."""
    if trace.is_shape_only:
        return ()
    rows: list[BranchImage] = []
    for branch, name in enumerate(policy.branches):
        bounds = policy.bounds(branch)
        met = np.flatnonzero(decisions.evaluated[:, branch] | decisions.skipped[:, branch])
        columns = (
            met.tolist(),
            trace.magnitude_sums[met, branch].tolist(),
            trace.margins[met, branch].tolist(),
            decisions.skipped[met, branch].tolist(),
            (decisions.exit_index[met] == branch).tolist(),
        )
        low, high = (None, None) if bounds is None else (bounds.min_sum, bounds.max_sum)
        rows += [
            BranchImage(
                image,
                name,
                _known(magnitude_sum),
                low,
                high,
                _known(margin),
                policy.thresholds[branch],
                SKIPPED if is_skipped else LEFT if leaves else PASSED,
            )
            for image, magnitude_sum, margin, is_skipped, leaves in zip(*columns, strict=True)
        ]
    return tuple(rows)


def _known(value: int) -> int | None:
    return None if value == NOT_COMPUTED else value
