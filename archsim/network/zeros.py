"""Zero fractions of a shape-only network: which tensors have one, and what a file says about them."""

from __future__ import annotations

from archsim.network.graph import Layer, Network

Found = tuple[str, str, str]
"""(dotted key, message, hint)."""


def zero_fractions(network: Network) -> dict[str, float]:
    """Fraction of zeros by tensor, for every tensor that has a zero map; 0 where no reader gives one."""
    given = {name: fraction for layer in network.layers if (fraction := fraction_of(layer)) is not None
             for name in layer.inputs}  # fmt: skip
    return {name: given.get(name, 0.0) for name in network.zero_map_tensors}


def fraction_of(layer: Layer) -> float | None:
    """``zero_fraction`` of a layer, None where it has none."""
    fraction: float | None = getattr(layer.spec, "zero_fraction", None)
    return fraction


def zero_fraction_problems(network: Network, *, has_weights: bool) -> list[Found]:
    """Zero fractions that contradict each other, and any beside weights, which say what is zero."""
    problems: list[Found] = []
    seen: dict[str, tuple[str, float]] = {}
    for key, layer in _by_key(network):
        fraction = fraction_of(layer)
        if fraction is None:
            continue
        tensor = layer.inputs[0]
        reader, other = seen.setdefault(tensor, (layer.name, fraction))
        if has_weights:
            message = "a network with weights computes its zeros"
            problems.append((f"{key}.zero_fraction", message, "remove zero_fraction, or weights"))
        elif fraction != other:
            message = f'found {fraction:g} for the tensor "{tensor}", which "{reader}" reads with {other:g}'
            problems.append((f"{key}.zero_fraction", message, "a tensor has one fraction of zeros"))
    return problems


def _by_key(network: Network) -> list[tuple[str, Layer]]:
    trunk = [(f"layers.{index}", layer) for index, layer in enumerate(network.layers)]
    hanging = [
        (f"branches.{number}.layers.{index}", layer)
        for number, branch in enumerate(network.branches)
        for index, layer in enumerate(branch.layers)
    ]
    return trunk + hanging
