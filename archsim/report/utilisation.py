"""``--kind utilisation``: how busy the array is, layer by layer, and how long it waits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from archsim.report import style
from archsim.report.captions import labels, title
from archsim.report.energy import BRANCH_HATCH, layer_names
from archsim.results.run_result import LayerResult, RunResult

_STALLED = style.VERMILLION
_PANEL_INCHES = 2.4


def draw_utilisation(results: Sequence[RunResult], figure: Figure) -> None:
    """Two panels over the same layers: cycles above, utilisation below."""
    names, words = layer_names(results), labels(results)
    texts_inches = style.text_width_inches([*words, "waiting for data or space"])
    panel_inches = max(style.WIDTH_INCHES - texts_inches - 1.5, 4.2, 0.08 * len(names) * (1 + len(results)))
    height_inches = max(_PANEL_INCHES, style.text_height_inches([*words, "waiting", "branch"]))
    figure.set_size_inches(panel_inches + texts_inches + 1.5, 2 * height_inches + 1.8)
    above, below = figure.subplots(2, 1, sharex=True)
    plot_layer_cycles(results, above)
    plot_utilisation(results, below, panel_inches)
    style.headline(figure, title("Where the cycles go", results))


def plot_layer_cycles(results: Sequence[RunResult], axes: Axes) -> None:
    """Cycles with which each layer holds the array (a branch its unit): working, and on top of that waiting."""
    colours = style.depth_colours(len(results))
    names = layer_names(results)
    for index, result in enumerate(results):
        layers = _by_name(result)
        working = [layers[name].cycles - layers[name].stall_cycles if name in layers else 0 for name in names]
        waiting = [layers[name].stall_cycles if name in layers else 0 for name in names]
        centres, width = _centres(len(names), index, len(results)), 0.8 / len(results)
        hatch = [BRANCH_HATCH if name in result.branches else "" for name in names]
        axes.bar(centres, working, width, color=colours[index], edgecolor="white", hatch=hatch)
        axes.bar(centres, waiting, width, working, color=_STALLED, edgecolor="white")
    axes.use_sticky_edges = False  # the foot of a wait, on top of the highest bar, would be the upper end
    axes.margins(y=0.05)
    axes.set_ylim(bottom=0)
    axes.grid(visible=False, axis="x")
    axes.set_ylabel("cycles (mean per image)")
    axes.set_title("Cycles, mean over all images (also those that left before)")
    words = labels(results) if len(results) > 1 else ["working"]
    keys = [Patch(facecolor=colour, label=word) for colour, word in zip(colours, words, strict=True)]
    keys.append(Patch(facecolor=_STALLED, label="waiting for data or space"))
    if {branch for result in results for branch in result.branches} & set(names):
        keys.append(Patch(facecolor=colours[0], edgecolor="white", hatch=BRANCH_HATCH, label="branch"))
    style.legend_right(axes, handles=keys)


def plot_utilisation(results: Sequence[RunResult], axes: Axes, width_inches: float = 5.5) -> None:
    """MACs done in % of those that the PEs (of a branch the lanes of its unit) could have done meanwhile.

    width_inches: as in ``plot_energy_by_layer``.
    """
    colours = style.depth_colours(len(results))
    names = layer_names(results)
    for index, result in enumerate(results):
        layers = _by_name(result)
        percents = [100 * layers[name].utilisation if name in layers else 0 for name in names]
        hatch = [BRANCH_HATCH if name in result.branches else "" for name in names]
        axes.bar(
            _centres(len(names), index, len(results)),
            percents,
            0.8 / len(results),
            color=colours[index],
            edgecolor="white",
            hatch=hatch,
        )
    axes.set_ylim(0, 100)
    axes.set_ylabel("utilisation (%)")
    axes.set_title("MACs done / (PEs, or lanes of the branch unit, x cycles)")
    style.name_categories(axes, names, width_inches)


def _by_name(result: RunResult) -> dict[str, LayerResult]:
    return {layer.name: layer for layer in result.layers}


def _centres(count: int, index: int, results: int) -> npt.NDArray[np.float64]:
    return np.asarray(np.arange(count) + (index - (results - 1) / 2) * 0.8 / results, np.float64)
