"""Work done ahead: order, errors in their place, and that it is ahead."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from archsim.functional.ahead import ahead


def test_an_error_comes_behind_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2)
        raise ValueError("third")

    found = ahead(items())
    assert (next(found), next(found)) == (1, 2)
    with pytest.raises(ValueError, match="third"):
        next(found)


def test_the_next_item_is_made_while_this_one_is_used() -> None:
    made = [threading.Event() for _ in range(3)]

    def items() -> Iterator[int]:
        for index, event in enumerate(made):
            event.set()
            yield index

    found = ahead(items())
    assert next(found) == 0
    assert made[1].wait(timeout=60), "nothing was made in advance"
    assert not made[2].is_set(), "more than one item was made in advance"
    assert list(found) == [1, 2]


def test_nobody_waits_for_what_is_not_wanted() -> None:
    found = ahead(iter(range(3)))
    assert next(found) == 0
    found.close()
    assert list(found) == []
