"""Documents against models: the words in which a user hears what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, model_validator

from archsim.config.arch import ArchSpec
from archsim.config.base import ConfigModel
from archsim.config.fields import dotted_keys, expected, place_of
from archsim.config.validation import validate
from archsim.config.workload import WorkloadSpec
from archsim.config.yaml_io import parse_document
from archsim.errors import InvalidInput

NAME = "a name (a letter, then at most 63 letters, digits, _ or -)"
OPS = '"conv2d", "depthwise_conv2d", "linear", "max_pool", "avg_pool", "global_avg_pool" or "add"'
SIDE = "an integer from 1 to 1048576"


def problems(model: type[ConfigModel], text: str) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        validate(model, parse_document(text, Path("f.yaml")))
    return [str(problem) for problem in caught.value.problems]


def test_all_problems_of_an_accelerator() -> None:
    text = """schema: archsim.arch/1
name: a b
pe_array:
  rows: 0
  cols: x
  dataflow: row_stationry
  colz: 1
  size_kib: 3
  zero: 4
clock: 3
precision: {psum_bits: 12}
exits: {enabled: 1}
"""
    assert problems(ArchSpec, text) == [
        f'f.yaml:2:7: name: found "a b", expected {NAME}',
        "f.yaml:4:9: pe_array.rows: found 0, expected an integer from 1 to 1024",
        'f.yaml:5:9: pe_array.cols: found "x", expected an integer from 1 to 1024',
        'f.yaml:6:13: pe_array.dataflow: found "row_stationry", expected "row_stationary", "weight_stationary", '
        '"output_stationary" or "input_stationary" (hint: did you mean "row_stationary"?)',
        'f.yaml:7:3: pe_array.colz: unknown key (hint: did you mean "cols"?)',
        'f.yaml:8:3: pe_array.size_kib: unknown key (hint: did you mean "global_buffer.size_kib"?)',
        'f.yaml:9:9: pe_array.zero: found 4, expected "none", "gate" or "skip"',
        "f.yaml:10:8: clock: found 3, expected a mapping",
        "f.yaml:11:24: precision.psum_bits: found 12, expected 4, 8, 16 or 32",
        "f.yaml:12:18: exits.enabled: found 1, expected true or false",
    ]


def test_layers_are_told_apart_by_op_without_a_trace_of_it() -> None:
    text = """schema: archsim.workload/1
name: w
dataset: {name: d, classes: 1}
input: {height: 8, width: 8, channels: 1}
weights: w.npz
layers:
- {op: conv2d, name: a, filters: 0, kernel: [1, x], stride: [1, 2, 3], fitlers: 3}
- {op: conv, name: b}
- {name: c}
- 3
- {op: max_pool, name: d, kernel: 0}
- {op: conv2d, name: e, conv2d: 3}
branches: [{name: e, after: 3, layers: [], treshold: 3, dbp: {max_sum: -1}}]
"""
    assert problems(WorkloadSpec, text) == [
        "f.yaml:3:29: dataset.classes: found 1, expected an integer from 2 to 32768",
        f"f.yaml:7:34: layers.0.filters: found 0, expected {SIDE}",
        f'f.yaml:7:49: layers.0.kernel.1: found "x", expected {SIDE}',
        "f.yaml:7:61: layers.0.stride: found 3 entries, expected at most 2",
        'f.yaml:7:72: layers.0.fitlers: unknown key (hint: did you mean "filters"?)',
        f'f.yaml:8:8: layers.1.op: found "conv", expected {OPS} (hint: did you mean "conv2d"?)',
        f"f.yaml:9:3: layers.2.op: missing, expected {OPS}",
        "f.yaml:10:3: layers.3: found 3, expected a mapping with op: conv2d, depthwise_conv2d, linear, max_pool, "
        "avg_pool, global_avg_pool, add",
        f"f.yaml:11:35: layers.4.kernel: found 0, expected {SIDE}, or a list of 2",
        f"f.yaml:12:3: layers.5.filters: missing, expected {SIDE}",
        f"f.yaml:12:3: layers.5.kernel: missing, expected {SIDE}, or a list of 2",
        "f.yaml:12:25: layers.5.conv2d: unknown key (hint: allowed: filters, groups, input, input_shape, "
        "kernel, name, op, output_max, padding, relu, stride, zero_fraction)",
        f"f.yaml:13:29: branches.0.after: found 3, expected {NAME}",
        "f.yaml:13:40: branches.0.layers: found 0 entries, expected at least 1",
        'f.yaml:13:44: branches.0.treshold: unknown key (hint: did you mean "threshold"?)',
        "f.yaml:13:72: branches.0.dbp.max_sum: found -1, expected an integer from 0 to 1099511627776 or null",
    ]


def test_keys_that_any_name_fits() -> None:
    text = "schema: archsim.arch/1\nname: a\nexits: {enabeld: false, e: {threshold: 1.5, tresh: 1}}\n"
    assert problems(ArchSpec, text) == [
        'f.yaml:3:18: exits.enabeld: found false, expected a mapping (hint: did you mean "enabled"?)',
        "f.yaml:3:40: exits.e.threshold: found 1.5, expected an integer from -2147483648 to 4294967296 or null",
        'f.yaml:3:45: exits.e.tresh: unknown key (hint: did you mean "threshold"?)',
    ]


def test_missing_keys_are_reported_where_they_belong() -> None:
    found = problems(WorkloadSpec, "\n\nname: w\nschema: archsim.workload/1\ninput: {height: 8}\nlayers: 3")
    assert found == [
        "f.yaml:3:1: dataset: missing, expected a mapping",
        f"f.yaml:5:8: input.width: missing, expected {SIDE}",
        f"f.yaml:5:8: input.channels: missing, expected {SIDE}",
        "f.yaml:6:9: layers: found 3, expected a list, each entry a mapping with op: conv2d, depthwise_conv2d, linear, "
        "max_pool, avg_pool, global_avg_pool, add",
    ]


def test_a_model_with_checks_of_its_own_speaks_for_itself() -> None:
    class Range(ConfigModel):
        low: int
        high: int

        @model_validator(mode="after")
        def _ordered(self) -> Range:
            if self.low > self.high:
                raise ValueError(f"low {self.low} is above high {self.high}")
            return self

    class Holder(ConfigModel):
        ranges: list[Range]

    assert problems(Holder, "ranges:\n  - {low: 3, high: 2}\n") == [
        "f.yaml:2:5: ranges.0: low 3 is above high 2"
    ]


def test_every_kind_of_expectation_has_words() -> None:
    words = {
        Annotated[int, Field(ge=0)]: "an integer from 0 up",
        Annotated[int, Field(le=9)]: "an integer up to 9",
        Annotated[float, Field(gt=0, le=10)]: "a number above 0 to 10",
        Annotated[float, Field(lt=1)]: "a number below 1",
        Annotated[str, Field(pattern="^x$")]: "text that matches ^x$",
        int | None: "an integer or null",
        int | str: "an integer or text",
        tuple[int, int]: "a list of 2, each an integer",
        tuple[int, ...]: "a list of 2 or 4, each an integer",
        dict[str, int]: "a mapping",
        list[bool]: "a list, each entry true or false",
        Literal["a"]: '"a"',
    }
    assert {annotation: expected(place_of(annotation)) for annotation in words} == words


def test_dotted_keys_include_those_of_the_contract() -> None:
    keys = set(dotted_keys(ArchSpec))
    assert {
        "pe_array.rows",
        "pe_array.cols",
        "pe_array.dataflow",
        "pe_array.zero",
        "global_buffer.size_kib",
        "dram.preset",
        "clock.core_mhz",
        "branch_unit.macs",
        "branch_unit.overlap",
        "exits.enabled",
        "dbp.enabled",
    } <= keys


def test_a_valid_document_gives_the_frozen_model() -> None:
    arch = validate(
        ArchSpec, parse_document("schema: archsim.arch/1\nname: a\npe_array: {rows: 3}", Path("f"))
    )
    assert (arch.pe_array.rows, arch.pe_array.cols) == (3, 14)
    with pytest.raises(ValueError, match="frozen"):
        arch.pe_array.rows = 4  # type: ignore[misc]
