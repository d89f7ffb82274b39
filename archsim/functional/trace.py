"""The functional trace: what a network computed on a set of images, as far as timing and statistics need it.

It holds decisions' raw material (margins, sums), correctness and zero maps, never images. Decisions for any
thresholds follow from it in :mod:`archsim.functional.decide`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

NOT_COMPUTED = np.iinfo(np.int64).min
"""Margin or sum of a branch that lazy execution never reached."""
UNKNOWN = -1
"""Label, or final prediction, of an image that a shape-only network was timed on."""


@dataclass(frozen=True)
class FunctionalTrace:
    """Per image results of one network; N images, B branches, E = B + 1 exits (the last is the end of the trunk).

    workload: name. exit_names: length E. labels: int64 (N,).
    margins: int64 (N, E), top-1 minus top-2 logit; NOT_COMPUTED where not reached.
    predictions: int64 (N, E), -1 where not reached.
    magnitude_sums: int64 (N, B), sum of |a| over the tensor that branch b reads; NOT_COMPUTED where not reached.
    zero_maps: tensor name -> uint8 (N, ceil(elements / 8)): bit i (numpy packbits order, little) is 1 where element
        i of the NHWC tensor is zero; for the tensors in ``Network.zero_map_tensors`` and ``branch_map_tensors``; older
        files have none of the latter. Rows of images that never reached the tensor are all zero.
    """

    workload: str
    exit_names: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    margins: npt.NDArray[np.int64]
    predictions: npt.NDArray[np.int64]
    magnitude_sums: npt.NDArray[np.int64]
    zero_maps: Mapping[str, npt.NDArray[np.uint8]]

    @property
    def images(self) -> int:
        """Number of images N."""
        return len(self.labels)

    @property
    def is_shape_only(self) -> bool:
        """The network had no weights: nothing was predicted and no label is known."""
        return bool((self.labels == UNKNOWN).all())

    def rows(self, first: int, last: int | None) -> FunctionalTrace:
        """The images ``first`` to ``last`` - 1, to the end where ``last`` is None; arrays are not copied."""
        part = slice(first, last)
        return replace(
            self,
            labels=self.labels[part],
            margins=self.margins[part],
            predictions=self.predictions[part],
            magnitude_sums=self.magnitude_sums[part],
            zero_maps={name: bits[part] for name, bits in self.zero_maps.items()},
        )
