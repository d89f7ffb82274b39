"""SCALE-Sim on the layers of a network, for comparison: in a process, and with a Python, of its own.

It needs NumPy before 2.3, so it cannot live beside archsim::

    python3 -m venv scale-sim && scale-sim/bin/pip install scalesim==3.0.0 "numpy<2.3"
    python -m tests.perf.scale_sim scale-sim/bin/python conv1 conv5    # some layers of vgg16-cifar10, one by one
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from archsim import api
from archsim.network.graph import Layer

ARRAY_ROWS = ARRAY_COLS = 32
_CONFIG = f"""[general]
run_name = run
[architecture_presets]
ArrayHeight = {ARRAY_ROWS}
ArrayWidth = {ARRAY_COLS}
ifmapsramszkB = 512
filtersramszkB = 512
ofmapsramszkB = 256
IfmapOffset = 0
FilterOffset = 10000000
OfmapOffset = 20000000
Dataflow = ws
Bandwidth = 10
ReadRequestBuffer = 512
WriteRequestBuffer = 512
[layout]
IfmapCustomLayout = False
FilterCustomLayout = False
IfmapSRAMBankBandwidth = 10
IfmapSRAMBankNum = 10
IfmapSRAMBankPort = 2
FilterSRAMBankBandwidth = 10
FilterSRAMBankNum = 10
FilterSRAMBankPort = 2
[sparsity]
SparsitySupport = false
[run_presets]
InterfaceBandwidth = CALC
UseRamulatorTrace = False
"""
_HEADER = "Layer,IFMAP height,IFMAP width,Filter height,Filter width,Channels,Filters,Stride,\n"
# Its own command line ignores that traces are not wanted, and writes gigabytes of them.
_DRIVER = """
from scalesim.scale_sim import scalesim
scalesim(save_disk_space=True, verbose=False, config="arch.cfg", topology="net.csv", layout="layout.csv",
         input_type_gemm=False).run_scale(top_path="out")
"""


def topology(layers: Iterable[Layer]) -> str:
    """The convolutions and fully connected layers as SCALE-Sim reads them: padded maps, fully connected as 1x1."""
    rows = [_HEADER]
    for layer in layers:
        shape, (rows_padded, cols_padded) = layer.input_shape, layer.padding
        height, width, channels = (
            shape.height + 2 * rows_padded,
            shape.width + 2 * cols_padded,
            shape.channels,
        )
        kernel = layer.kernel
        if layer.op == "linear":
            height, width, channels, kernel = 1, 1, shape.elements, (1, 1)
        sizes = (height, width, *kernel, channels, layer.output_shape.channels, layer.stride[0])
        rows.append(f"{layer.name}," + "".join(f"{size}," for size in sizes) + "\n")
    return "".join(rows)


def cpu_seconds(python: str, layers: Iterable[Layer], folder: Path) -> float:
    """CPU seconds of one run over the layers, start-up included; ``folder`` takes its files."""
    (folder / "arch.cfg").write_text(_CONFIG, encoding="ascii")
    (folder / "layout.csv").write_text("Layer,\n", encoding="ascii")
    (folder / "net.csv").write_text(topology(layers), encoding="ascii")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([python, "-c", _DRIVER], cwd=folder, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the CPU time of each layer named, a process each."""
    python, *names = sys.argv[1:]
    for layer in api.load("vgg16-cifar10").network.layers:
        if layer.name in names:
            with tempfile.TemporaryDirectory() as folder:
                sys.stdout.write(f"{layer.name} {cpu_seconds(python, [layer], Path(folder)):.2f} s\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
