"""What a plot shows, read back from its axes."""

from __future__ import annotations

from matplotlib.axes import Axes


def texts(axes: Axes) -> list[str]:
    """Texts that are not empty, in order."""
    return [text.get_text() for text in axes.texts if text.get_text()]


def legend(axes: Axes) -> list[str]:
    """Entries of the legend, which there must be."""
    found = axes.get_legend()
    assert found is not None
    return [text.get_text() for text in found.get_texts()]
