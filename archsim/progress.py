"""How a long call says how far it is, to whoever shows it."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with (what is done, all that there is to do; 0 where that is not known), in units that the caller knows."""
