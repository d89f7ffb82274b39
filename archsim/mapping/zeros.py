"""What the zeros of a feature map save: Numba kernels over zero maps, and the counts that follow from them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from archsim.kernels.compiler import kernel
from archsim.mapping.base import Int64Array, TilePlan, TileWork

ZeroOption = Literal["none", "gate", "skip"]


def mac_counts(plan: TilePlan, work: TileWork, zero_option: ZeroOption) -> dict[tuple[str, str], Int64Array]:
    """Data-dependent counts per tile: (component, action) -> int64 (tiles,).

    An executed MAC reads one activation and one weight and reads and writes one partial sum, all in scratchpads.
    A gated MAC reads the activation only, finds it zero and holds the rest still. A skipped MAC does nothing: zeros
    are marked when the scratchpad is written.

    zero_option: ``none`` executes all MACs, ``gate`` gates those on zeros, ``skip`` skips them.
    """
    executed = plan.macs if zero_option == "none" else work.nonzero_macs
    gated = plan.macs - executed if zero_option == "gate" else np.zeros_like(executed)
    return {
        ("pe_array", "mac"): executed,
        ("pe_array", "gated_mac"): gated,
        ("pe_array", "ifmap_spad_read"): executed + gated,
        ("pe_array", "filter_spad_read"): executed,
        ("pe_array", "psum_spad_read"): executed,
        ("pe_array", "psum_spad_write"): executed,
    }


@kernel
def row_taps(nonzero, column_taps):  # type: ignore[no-untyped-def]
    """MACs that a PE with one filter has to do on each input row.

    nonzero: bool (height, width, channels). column_taps: int64 (width,), (output column, filter column) pairs that
    read each column. Returns int64 (height, channels).
    """
    height, width, channels = nonzero.shape
    taps = np.zeros((height, channels), np.int64)
    for y in range(height):
        for x in range(width):
            weight = column_taps[x]
            for channel in range(channels):
                if nonzero[y, x, channel]:
                    taps[y, channel] += weight
    return taps


@kernel
def set_work(taps, blocks, geometry):  # type: ignore[no-untyped-def]
    """Slowest PE and sum over all PEs, for one filter, of groups of tiles that see the same activations.

    taps: int64 (height, channels) of :func:`row_taps`. blocks: int64 (groups, 5): first output row, output rows,
    first channel, channels, channels in a PE. geometry: (kernel rows, vertical stride, top padding).
    Returns int64 (groups, 2): MACs of the slowest PE, MACs of all PEs.

    PE (filter row i, output row j) of set k works on input row j * stride + i - padding of its channels::

        set k: channels k*q .. k*q + q - 1      work(k, i, j) = sum over its channels of taps[j * stride + i - pad]
    """
    kernel_rows, stride, pad = geometry
    height = taps.shape[0]
    result = np.zeros((blocks.shape[0], 2), np.int64)
    for index in range(blocks.shape[0]):
        row0, rows, channel0, channels, per_pe = blocks[index]
        for out_row in range(row0, row0 + rows):
            for i in range(kernel_rows):
                y = out_row * stride + i - pad
                if y < 0 or y >= height:
                    continue
                for start in range(channel0, channel0 + channels, per_pe):
                    work = 0
                    for channel in range(start, min(start + per_pe, channel0 + channels)):
                        work += taps[y, channel]
                    result[index, 1] += work
                    result[index, 0] = max(result[index, 0], work)
    return result


@kernel
def window_taps(nonzero, window, out_width, position_bins, element_bins, depthwise):  # type: ignore[no-untyped-def]
    """Nonzero activations under the windows, counted by bins of output positions and of window elements.

    nonzero: bool (images, height, width, channels). window: (kernel rows, kernel columns, strides, paddings).
    position_bins: int64 (images * out_height * out_width,); element_bins: int64 (elements of a window,), elements in
    the order (channel, row, column), of one channel if ``depthwise``. Returns int64 (channels if depthwise else 1,
    position bins, element bins).
    """
    kernel_rows, kernel_cols, stride_rows, stride_cols, pad_rows, pad_cols = window
    images, height, width, channels = nonzero.shape
    positions = position_bins.shape[0] // images
    groups = channels if depthwise else 1
    taps = kernel_rows * kernel_cols
    counts = np.zeros((groups, position_bins[-1] + 1, element_bins[-1] + 1), np.int64)
    for index in range(position_bins.shape[0]):
        image, position = index // positions, index % positions
        position_bin = position_bins[index]
        top = position // out_width * stride_rows - pad_rows
        left = position % out_width * stride_cols - pad_cols
        for tap in range(taps):
            y, x = top + tap // kernel_cols, left + tap % kernel_cols
            if y < 0 or y >= height or x < 0 or x >= width:
                continue
            for channel in range(channels):
                if nonzero[image, y, x, channel]:
                    group = channel if depthwise else 0
                    element = tap if depthwise else channel * taps + tap
                    counts[group, position_bin, element_bins[element]] += 1
    return counts
