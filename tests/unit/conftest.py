"""What several unit tests share."""

from __future__ import annotations

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure


@pytest.fixture
def axes() -> Axes:
    """Axes of a figure of their own."""
    return Figure().subplots()
