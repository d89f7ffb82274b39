"""Paddings that are drawn: alike at both ends, or top, left, bottom and right apart."""

from __future__ import annotations

from hypothesis import strategies as st

_SIDE = st.integers(0, 2)
PADDINGS = st.one_of(st.tuples(_SIDE, _SIDE), st.tuples(_SIDE, _SIDE, _SIDE, _SIDE))
