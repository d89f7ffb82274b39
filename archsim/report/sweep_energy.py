"""``--kind energy`` of a sweep: where the energy goes at its points of least energy."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from archsim.explore.table import SweepTable
from archsim.report import style
from archsim.report.energy import ENERGY_AXIS
from archsim.report.sweep_view import View, point_names, sweep_title

_MOST_BARS = 32
_COMPONENT = "energy_uj_per_image.by_component."


def draw_sweep_energy(table: SweepTable, _view: View, figure: Figure) -> None:
    """One bar a point, the least energy first."""
    shown = table.best("energy", _MOST_BARS)
    names = point_names(shown)
    texts_inches = style.text_width_inches([*names, *style.COMPONENT_COLOURS])
    figure.set_size_inches(max(style.WIDTH_INCHES, 5 + texts_inches), max(2.8, 1.6 + 0.28 * len(shown)))
    plot_sweep_energy(shown, names, figure.subplots())
    few = [f"the {len(shown)} of least energy"] if len(shown) < len(table.ok()) else []
    style.headline(figure, sweep_title("Energy per image", table, few))


def plot_sweep_energy(table: SweepTable, names: list[str], axes: Axes) -> None:
    """Bars of uJ per image, their parts the components."""
    left_uj = np.zeros(len(table))
    for column in (name for name in table.columns if name.startswith(_COMPONENT)):
        component = column.removeprefix(_COMPONENT)
        energies_uj = np.nan_to_num(table.numbers(column))
        colour = style.COMPONENT_COLOURS.get(component, "white")
        axes.barh(
            range(len(table)), energies_uj, 0.7, left_uj, color=colour, edgecolor="#444444", label=component
        )
        left_uj += energies_uj
    for row, total_uj in enumerate(left_uj):
        difference = style.change(float(total_uj), float(left_uj[0])) if row else ""
        text = style.quantity(float(total_uj)) + (f" ({difference})" if difference else "")
        axes.annotate(text, (total_uj, row), (4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(range(len(table)), names)
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.set_xlim(0, 1.4 * float(left_uj.max()))
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(ENERGY_AXIS)
    style.legend_right(axes)
