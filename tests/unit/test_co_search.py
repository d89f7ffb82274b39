"""The documented co-search: it finds points that dominate the shipped preset at equal accuracy."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from archsim.explore.spec import load_sweep_spec
from archsim.explore.sweep import run_sweep
from archsim.explore.table import read_table

pytest.importorskip("optuna", reason="the extra dse is not installed")


@pytest.mark.slow
def test_the_documented_search_beats_the_preset(repository: Path, tmp_path: Path) -> None:
    page = (repository / "docs" / "howto" / "co-search.md").read_text(encoding="utf-8")
    found = re.search(r"```yaml\n(# co-search.yaml\n.*?)```", page, re.DOTALL)
    assert found is not None
    file = tmp_path / "co-search.yaml"
    file.write_text(found[1], encoding="utf-8")
    run_sweep(load_sweep_spec(file), tmp_path / "out", jobs=2)
    table = read_table(tmp_path / "out", ["energy_uj_per_image.total", "latency_us.mean", "accuracy"]).ok()
    assert table["pe_array.rows"][0] == 12 and table["pe_array.cols"][0] == 14, "the preset comes first"
    energy, latency_us, accuracy = (table[name] for name in ("energy", "latency", "accuracy"))
    better = (energy < energy[0]) & (latency_us <= latency_us[0]) & (accuracy >= accuracy[0])
    assert np.count_nonzero(better) >= 1
