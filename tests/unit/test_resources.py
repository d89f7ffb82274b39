"""Built-in files in a checkout and in a wheel."""

from __future__ import annotations

from pathlib import Path

from archsim.resources import Kind, builtin_names, builtin_path, folder


def make(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_a_checkout_has_its_data_beside_the_package(tmp_path: Path) -> None:
    package = tmp_path / "archsim"
    digits = make(tmp_path / "workloads" / "digits.yaml")
    make(tmp_path / "workloads" / "training" / "digits.yaml")
    make(tmp_path / "workloads" / "digits.weights.npz")
    preset = make(package / "presets" / "mine.yaml")
    dram = make(package / "presets" / "dram" / "fast.yaml")
    assert builtin_names(Kind.WORKLOAD, package) == ("digits",)
    assert builtin_names(Kind.TRAINING, package) == ("digits",)
    assert builtin_path(Kind.WORKLOAD, "digits", package) == digits
    assert builtin_path(Kind.ARCH, "mine", package) == preset
    assert builtin_path(Kind.DRAM, "fast", package) == dram
    assert builtin_path(Kind.ARCH, "fast", package) is None
    assert builtin_path(Kind.ARCH, "dram/fast", package) is None
    assert builtin_names(Kind.ENERGY_TABLE, package) == ()


def test_a_wheel_has_its_data_inside(tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / "archsim"
    table = make(package / "_data" / "energy_tables" / "65nm.yaml")
    make(tmp_path / "site-packages" / "energy_tables" / "foreign.yaml")
    assert builtin_names(Kind.ENERGY_TABLE, package) == ("65nm",)
    assert builtin_path(Kind.ENERGY_TABLE, "65nm", package) == table


def test_every_kind_has_its_folder_in_this_installation() -> None:
    for kind in Kind:
        assert folder(kind).is_dir(), kind
        assert builtin_names(kind), kind
