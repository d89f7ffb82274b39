"""Where the energy of an image goes: by component, by cause and by layer; and the table of the layers."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from archsim.report.page.bars import Bar, Part, bars, legend
from archsim.report.page.markup import Child, Html, el, join, table
from archsim.report.page.numbers import fraction, number, plus_minus
from archsim.report.page.section import Section, says
from archsim.report.page.summary import energy_total
from archsim.report.style import COMPONENT_COLOURS, quantity
from archsim.results.run_result import LayerResult, RunResult

_CAUSES = {
    "useful": "layers that the image needed",
    "wasted": "fetched or computed for layers that an exit made useless",
    "branch": "branches: their weights, their work, waiting for their answer",
    "dbp": "deciding whether a branch is worth it",
    "stalled": "leakage and background while the array waits for data",
    "idle": "between images",
}


def component_parts(by_component_uj: Mapping[str, float]) -> list[Part]:
    """Pieces of a bar of energy, in the colours that components have in every plot."""
    total = sum(by_component_uj.values())
    order = {name: place for place, name in enumerate(COMPONENT_COLOURS)}
    ordered = sorted(by_component_uj.items(), key=lambda entry: order.get(entry[0], len(order)))
    return [
        Part(name, energy, component_colour(name), f"{name} {quantity(energy)} µJ, {_percent(energy, total)}")
        for name, energy in ordered
    ]


def component_colour(name: str) -> str:
    """Class of the colour of a component."""
    return f"c-{name}" if name in COMPONENT_COLOURS else "c-other"


def component_legend(names: Collection[str]) -> Html:
    """Which colour is which component, in the order of the bars."""
    order = [*COMPONENT_COLOURS, *(name for name in names if name not in COMPONENT_COLOURS)]
    return legend([(name, component_colour(name)) for name in order if name in names])


def energy_section(result: RunResult) -> Section:
    """By component with the range of each, by cause, by layer."""
    energy = result.energy_uj_per_image
    energies = energy.by_component
    found = result.energy_uncertainty_uj
    total = Bar(
        "An image",
        component_parts(energies),
        join(energy_total(result), " µJ"),
        (energy.total - found.total, energy.total + found.total) if found else None,
    )
    return Section(
        "energy",
        "Energy",
        join(
            el("h3", "By component"),
            bars("Energy of an image by component", [total]),
            component_legend([name for name, energy in energies.items() if energy]),
            _component_table(result),
            *_causes(result),
            el("h3", "By layer"),
            says("Mean over all images, those that left before the layer included. Branches are hatched."),
            bars("Energy of an image by layer", [_layer_bar(result, layer) for layer in result.layers]),
        ),
    )


def layers_section(result: RunResult) -> Section:
    """Every layer and branch as a row."""
    header = (
        "layer", "cycles", "stalled", "utilisation", "MACs", "skipped", "DRAM read (B)", "DRAM write (B)",
        "GLB read (B)", "GLB write (B)", "energy (µJ)", "share",
    )  # fmt: skip
    total = result.energy_uj_per_image.total
    rows = [_layer_row(f"layers.{index}", layer, total) for index, layer in enumerate(result.layers)]
    note = (
        "Means over all images. Skipped are multiply-accumulates with a zero; utilisation is MACs done over those "
        "that the hardware could have done in the cycles that the layer held it; GLB is the global buffer."
    )
    return Section("layers", "Layers", join(says(note), table("Layers and branches", header, rows)))


def _component_table(result: RunResult) -> Html:
    energy = result.energy_uj_per_image
    widths = result.energy_uncertainty_uj.by_component if result.energy_uncertainty_uj else {}
    rows: list[list[Child]] = [
        [
            name,
            plus_minus(
                value,
                widths.get(name),
                f"energy_uj_per_image.by_component.{name}",
                f"energy_uncertainty_uj.by_component.{name}",
            ),
            fraction(value / energy.total if energy.total else 0.0),
        ]
        for name, value in energy.by_component.items()
    ]
    return table(
        "Energy by component",
        ("component", "µJ an image", "share"),
        rows,
        footer=("total", energy_total(result), ""),
    )


def _causes(result: RunResult) -> list[Html]:
    causes = result.energy_by_cause_uj
    total = sum(causes.values())
    if not total:
        return []
    rows: list[list[Child]] = [
        [name, _CAUSES.get(name, ""), number(value, f"energy_by_cause_uj.{name}"), fraction(value / total)]
        for name, value in causes.items()
    ]
    header = ("spent on", "what it is", "µJ an image", "share")
    return [el("h3", "By cause"), table("Energy by cause", header, rows, left=(0, 1))]


def _layer_bar(result: RunResult, layer: LayerResult) -> Bar:
    total = result.energy_uj_per_image.total
    share = _percent(layer.energy_uj, total)
    colour = "branch" if layer.name in result.branches else "layer"
    text = f"{layer.name} {quantity(layer.energy_uj)} µJ, {share}"
    return Bar(
        layer.name,
        [Part(layer.name, layer.energy_uj, colour, text)],
        f"{quantity(layer.energy_uj)} µJ · {share}",
    )


def _layer_row(key: str, layer: LayerResult, total_uj: float) -> list[Child]:
    columns = (
        "macs", "skipped_macs", "dram_read_bytes", "dram_write_bytes", "glb_read_bytes", "glb_write_bytes", "energy_uj",
    )  # fmt: skip
    return [
        layer.name,
        number(layer.cycles, f"{key}.cycles"),
        number(layer.stall_cycles, f"{key}.stall_cycles"),
        fraction(layer.utilisation, f"{key}.utilisation", digits=1),
        *(number(getattr(layer, column), f"{key}.{column}") for column in columns),
        fraction(layer.energy_uj / total_uj if total_uj else 0.0, digits=1),
    ]


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "0 %"
