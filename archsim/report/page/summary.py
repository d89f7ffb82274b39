"""The first section: what an image costs, and what becomes of it."""

from __future__ import annotations

from archsim.report.page.markup import Child, Html, el, join
from archsim.report.page.numbers import fraction, number, plus_minus, whole
from archsim.report.page.section import Section
from archsim.results.run_result import DramBytesPerImage, RunResult

ENERGY_KEYS = ("energy_uj_per_image.total", "energy_uncertainty_uj.total")


def energy_total(result: RunResult) -> Html:
    """Microjoules an image, with their range."""
    found = result.energy_uncertainty_uj
    return plus_minus(result.energy_uj_per_image.total, found.total if found else None, *ENERGY_KEYS)


def lede(result: RunResult) -> Html:
    """The result in two sentences."""
    early = 1 - result.exits.get("final", 0) / result.images
    parts: list[Child] = [
        "An image takes ",
        number(result.cycles.mean, "cycles.mean"),
        " cycles and ",
        energy_total(result),
        " µJ on average. Of ",
        whole(result.images, "images"),
        " images ",
        fraction(early, digits=1),
        " leave before the end of the network",
    ]
    if result.accuracy is not None:
        parts += ["; ", fraction(result.accuracy, "accuracy"), " are classified correctly"]
    return el("p", *parts, ".", class_="lede")


def summary_section(result: RunResult) -> Section:
    """The figures that are asked for first."""
    latency, dram = result.latency_us, result.dram_bytes_per_image
    tiles = [
        _tile(
            "Cycles an image", number(result.cycles.mean, "cycles.mean"), "", _percentiles(result, "cycles")
        ),
        _tile("Energy an image", energy_total(result), "µJ", _range_note(result)),
        _tile("Latency", number(latency.mean, "latency_us.mean"), "µs", _percentiles(result, "latency_us")),
        _tile("Throughput", number(result.throughput_ips, "throughput_ips"), "images/s", _arrivals(result)),
        _tile("Accuracy", fraction(result.accuracy, "accuracy"), "", "at the exit that each image took"),
        _tile(
            "Parameters used",
            fraction(result.params_used_fraction, "params_used_fraction"),
            "",
            join("MACs used ", fraction(result.macs_used_fraction, "macs_used_fraction")),
        ),
        _tile(
            "DRAM traffic an image",
            number(dram.read + dram.write),
            "bytes",
            _dram_note(dram),
        ),
    ]
    if (area := result.area_mm2) is not None:
        tiles.append(
            _tile(
                "Area",
                number(area.total, "area_mm2.total"),
                "mm²",
                join("± ", fraction(area.uncertainty, "area_mm2.uncertainty", digits=0)),
            )
        )
    return Section("summary", "Summary", el("dl", *tiles, class_="tiles"))


def _tile(name: str, value: Html, unit: str, note: Child) -> Html:
    figure = el("dd", value, el("span", f" {unit}", class_="unit") if unit else None, class_="figure")
    return el("div", el("dt", name), figure, el("dd", note, class_="note"))


def _percentiles(result: RunResult, key: str) -> Html:
    statistics = getattr(result, key)
    marks = [(name, getattr(statistics, name)) for name in ("p50", "p95", "p99", "max")]
    parts: list[Child] = []
    for name, value in marks:
        shown = whole if isinstance(value, int) else number
        parts += [" · " if parts else None, f"{name} ", shown(value, f"{key}.{name}")]
    return join(*parts)


def _dram_note(dram: DramBytesPerImage) -> Html:
    at = "dram_bytes_per_image"
    return join(
        number(dram.read, f"{at}.read"),
        " read, ",
        number(dram.write, f"{at}.write"),
        " written; of those read ",
        number(dram.wasted, f"{at}.wasted"),
        " never used",
    )


def _range_note(result: RunResult) -> str:
    if result.energy_uncertainty_uj is None:
        return f"energy table {result.energy_table}"
    return f"95 % range from the rows of the energy table {result.energy_table}"


def _arrivals(result: RunResult) -> str:
    if result.arrivals == "alone":
        return "each image alone on the accelerator"
    if result.arrivals == "back-to-back":
        return "images back to back"
    return f"images arriving at {result.arrivals} Hz, waiting included in the latency"
