"""Random branches for the branch unit, and what the kernels make of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import strategies as st

from archsim.kernels.conv import linear
from archsim.kernels.requant import requantise
from tests.rtl import cosimulation
from tests.rtl.cosimulation import Group


@dataclass(frozen=True, eq=False)
class Branch:
    """A branch of the branch unit and the tensor it reads.

    bursts: (cycles after the one before, [(word, values)]); the values of a group go to the first lanes of a word.
    delay: from the last burst to the request. weight: int8 (features, units). fetch_gaps: between words of weights,
    None: they are resident. threshold_step: to the margin, None: no threshold.
    """

    lanes: int
    bursts: list[tuple[int, list[tuple[int, np.ndarray]]]]
    delay: int
    weight: np.ndarray
    bias: np.ndarray
    shift: int
    is_signed: bool
    threshold_step: int | None
    fetch_gaps: list[int] | None

    @property
    def words(self) -> int:
        """Of weights for one logit."""
        return len(self.weight) // self.lanes

    @property
    def units(self) -> int:
        """Logits."""
        return self.weight.shape[1]

    @cached_property
    def logits(self) -> np.ndarray:
        """int32 (1, units), by the kernels."""
        sums = np.zeros((self.words, self.lanes), np.int32)
        for _, groups in self.bursts:
            for word, values in groups:
                sums[word, : len(values)] += values
        features = self.words * self.lanes
        scale = np.ones(features, np.int32), np.full(features, self.shift, np.int32)
        pooled = requantise(sums.reshape(1, -1), np.zeros(features, np.int32), *scale, signed=self.is_signed)
        return linear(pooled.reshape(1, 1, 1, -1), self.weight).reshape(1, -1) + self.bias

    def weight_word(self, address: int) -> int:
        """Word of the memory of weights: those of one logit, one word behind the other."""
        unit, word = divmod(address, self.words)
        if unit >= self.units:
            return 0
        rows = slice(word * self.lanes, (word + 1) * self.lanes)
        return cosimulation.packed(self.weight[rows, unit], 8)

    def groups(self, now_cycles: list[int]) -> list[Group]:
        """The tensor as its groups, the bursts written by these events."""
        found = []
        for burst, (now_cycle, (_, groups)) in enumerate(zip(now_cycles, self.bursts, strict=True)):
            for index, (word, values) in enumerate(groups):
                ends = index == len(groups) - 1
                is_last = ends and burst == len(self.bursts) - 1
                found.append(Group(now_cycle, values, burst, ends, is_last, word))
        return found


@st.composite
def branches(draw: st.DrawFn, lanes: int) -> Branch:
    words, units = draw(st.integers(1, 3)), draw(st.integers(2, 4))
    signed = draw(st.booleans())
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    low, high = (-128, 127) if signed else (0, 255)
    order = [word for word in range(words) for _ in range(draw(st.integers(1, 3)))]
    rng.shuffle(order)
    bursts: list[tuple[int, list[tuple[int, np.ndarray]]]] = []
    while order:
        size = draw(st.integers(1, len(order)))
        part, order = order[:size], order[size:]
        groups = [(word, rng.integers(low, high, lanes, endpoint=True)) for word in part]
        word, values = groups[-1]
        groups[-1] = (word, values[: draw(st.integers(1, lanes))])
        bursts.append((draw(st.integers(0, 5)), groups))
    count = words * units
    return Branch(
        lanes=lanes,
        bursts=bursts,
        delay=draw(st.integers(0, 3)),
        weight=rng.integers(-128, 128, (words * lanes, units)).astype(np.int8),
        bias=rng.integers(-9, 10, units).astype(np.int32) * draw(st.sampled_from([1, 1000])),
        shift=draw(st.integers(0, 3)),
        is_signed=signed,
        threshold_step=draw(st.sampled_from([None, 1, 1, 0, -1])),
        fetch_gaps=draw(st.none() | st.lists(st.integers(1, 4), min_size=count, max_size=count)),
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[int, list[Branch]]:
    """Pipeline cycles, and branches that are met one after the other."""
    lanes = draw(st.integers(1, 4))
    return draw(st.integers(5, 7)), draw(st.lists(branches(lanes), min_size=1, max_size=3))
