"""Kernel, stride and padding of convolutions and pools: the many ways in which ONNX says them."""

from __future__ import annotations

from typing import Any

from archsim.importing.draft import NO_PADS, Node, Pads, Tensor, Unsupported


def kernel_of(node: Node) -> tuple[int, int]:
    kernel = tuple(node.attributes.get("kernel_shape", ()))
    if len(kernel) != 2:
        raise Unsupported(f"a window of {len(kernel)} dimensions, expected 2", "only images can be read")
    return int(kernel[0]), int(kernel[1])


def window_of(node: Node, tensor: Tensor, kernel: tuple[int, int], extra: Pads) -> dict[str, Any]:
    """kernel, stride and padding of a layer. extra: pads that a Pad before it left."""
    attributes = node.attributes
    if any(length != 1 for length in attributes.get("dilations", ())):
        raise Unsupported(f"dilations {list(attributes['dilations'])}, expected 1")
    stride = tuple(int(length) for length in attributes.get("strides", (1, 1)))
    if len(stride) != 2 or min(stride) < 1:
        raise Unsupported(f"strides {list(stride)}, expected two positive numbers")
    height, width = tensor.shape.height, tensor.shape.width
    pads = _pads(node, kernel, (stride[0], stride[1]), (height, width))
    total = tuple(a + b for a, b in zip(pads, extra, strict=True))
    ceil = bool(attributes.get("ceil_mode", 0))
    ends = [
        _ends(size, window, step, (total[axis], total[axis + 2]), ceil)
        for axis, (size, window, step) in enumerate(zip((height, width), kernel, stride, strict=True))
    ]
    (top, bottom), (left, right) = ends
    padding = (top, left) if (top, left) == (bottom, right) else (top, left, bottom, right)
    return {"kernel": kernel, "stride": stride, "padding": padding}


def _pads(node: Node, kernel: tuple[int, int], stride: tuple[int, int], size: tuple[int, int]) -> Pads:
    mode = node.attributes.get("auto_pad", b"NOTSET").decode(errors="replace")
    if mode == "VALID":
        return NO_PADS
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        lengths = [max((-(-length // step) - 1) * step + window - length, 0)
                   for length, step, window in zip(size, stride, kernel, strict=True)]  # fmt: skip
        first = [length // 2 if mode == "SAME_UPPER" else -(-length // 2) for length in lengths]
        return first[0], first[1], lengths[0] - first[0], lengths[1] - first[1]
    pads = [int(length) for length in node.attributes.get("pads", NO_PADS)]
    if len(pads) != 4 or min(pads) < 0:
        raise Unsupported(f"pads {pads}, expected four numbers from 0")
    return pads[0], pads[1], pads[2], pads[3]


def _ends(size: int, window: int, step: int, pads: tuple[int, int], ceil: bool) -> tuple[int, int]:
    """Padding before and behind that gives the same windows: alike where that is possible, else no more than is read.

    Rows beyond the last window do not count: with a step of 2 on an even map, 1 before it, 0 and 1 behind are alike.

    >>> _ends(32, 3, 2, (1, 0), False), _ends(32, 3, 2, (0, 1), False), _ends(31, 2, 2, (0, 0), True)
    ((1, 1), (0, 1), (0, 1))
    """
    before, after = pads
    room = size + before + after - window
    outputs = (-(-room // step) if ceil else room // step) + 1
    if ceil and (outputs - 1) * step >= size + before:
        outputs -= 1  # the last window may not begin behind the map
    if room < 0 or (size + 2 * before - window) // step + 1 == outputs:
        return before, before
    return before, max((outputs - 1) * step + window - size - before, 0)
