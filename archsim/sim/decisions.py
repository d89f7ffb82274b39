"""The decisions of one image, sealed until the unit that takes them reveals them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ImagePath:
    """The way of one image: skipped[b] and exits_at for the branches it meets; None runs to the end of the trunk.

    Both come from the functional trace; equal paths take equal time where timing does not depend on zeros.
    """

    skipped: tuple[bool, ...]
    exits_at: int | None


class SealedDecisions:
    """Holds a path; only the DBP unit and the branch unit get hold of this object, in the cycle they decide."""

    def __init__(self, path: ImagePath) -> None:
        self._path = path

    def reveal_run(self, branch_index: int) -> bool:
        """DBP unit: is the branch worth running for this image?"""
        return not self._path.skipped[branch_index]

    def reveal_exit(self, branch_index: int) -> bool:
        """Branch unit: does the image leave here?"""
        return self._path.exits_at == branch_index
