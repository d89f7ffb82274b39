"""``archsim validate dram``: the golden rows that ship are met exactly; what cannot be used is named."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from archsim.errors import InvalidInput
from archsim.validation.dram import METRICS, SHIPPED, validate_dram

HEADER = "simulator,device,mapping,policy,trace,status,cycles,ACT,RD,WR,REF"
# Two reads of one row, DDR3-1600: ACT in 1, RD in 12 and 16, data for 11 + 4 cycles.
ROW = "ramulator2.1,DDR3-1600_x8_4Gb,RoBaCo,FRFCFS,two,ok,31,1,2,0,0"


def golden(folder: Path, *rows: str, trace: str = "0,0,R\n0,40,R\n") -> Path:
    """A golden file with one trace beside it."""
    (folder / "traces").mkdir()
    (folder / "traces" / "two.csv").write_text(f"cycle_offset,addr_hex,op\n{trace}")
    file = folder / "results.csv"
    file.write_text("\n".join([HEADER, *rows]) + "\n")
    return file


def test_every_row_that_ships_is_met_exactly() -> None:
    report = validate_dram(None)
    differing = [row for row in report.rows if dict(row.golden) != dict(row.predicted)]
    assert differing == []
    assert (len(report.rows), report.skipped) == (108, [])
    assert list(report.by_metric) == list(METRICS)


def test_an_error_is_reported_where_it_is(tmp_path: Path) -> None:
    report = validate_dram(golden(tmp_path, ROW, ROW.replace("FRFCFS,two,ok,31", "FRFCFS-RowHit,two,ok,62")))
    found = report.to_json()
    assert report.rows[0].predicted == {"cycles": 31, "ACT": 1, "RD": 2, "WR": 0, "REF": 0}
    assert found["worst"]["row"] == "ramulator2.1/DDR3-1600_x8_4Gb/RoBaCo/FRFCFS-RowHit/two"
    assert found["by_metric"]["cycles"] == {"mape_pct": 25.0, "max_pct": 50.0}
    assert found["max_abs_error_pct"] == 50.0


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (ROW.replace("FRFCFS", "PER_BANK8").replace("ramulator2.1", "dramsim3"), "no such controller"),
        (ROW.replace("two", "three"), "no such trace"),
        (ROW.replace("two", "../two"), "no such trace"),
        ("ramulator2.1,DDR3-1600_x8_4Gb,RoBaCo,FRFCFS,two,deadlock,,,,,", "no result .deadlock."),
    ],
)
def test_runs_that_cannot_be_predicted_are_skipped(tmp_path: Path, row: str, reason: str) -> None:
    report = validate_dram(golden(tmp_path, ROW, row))
    assert len(report.rows) == 1
    ((skipped,),) = (report.skipped,)
    assert skipped.name == "/".join(row.split(",")[:5])
    with pytest.raises(InvalidInput, match=f"found no run that can be predicted.*{reason}"):
        golden_of_one = tmp_path / "one"
        golden_of_one.mkdir()
        validate_dram(golden(golden_of_one, row))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (ROW.replace("DDR3-1600_x8_4Gb", "DDR9"), r'results.csv:3: device: found "DDR9", expected one of DDR3-1600_x8'),
        (ROW.replace("RoBaCo", "CoRo"), 'results.csv:3: mapping: found "CoRo", expected one of RoBaCo, RoCoBa'),
        (ROW.replace("31,", ","), "results.csv:3: cycles: found nothing, expected a whole number"),
        (ROW.replace("31,", "-1,"), 'results.csv:3: cycles: found "-1", expected a whole number from 0'),
        (ROW + ",7", "results.csv:3: found 12 cells, expected 11 as in the header"),
    ],
)  # fmt: skip
def test_bad_rows_are_refused(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        validate_dram(golden(tmp_path, ROW, row))


@pytest.mark.parametrize(
    ("trace", "message"),
    [
        ("0,0x40,R\n", 'two.csv:2: addr_hex: found "0x40", expected a hexadecimal address without 0x'),
        ("0,40,X\n", 'two.csv:2: op: found "X", expected one of R, W'),
        ("5,0,R\n4,0,R\n", "two.csv:3: cycle_offset: found an offset before that of the line above"),
        ("", "two.csv: found a header only"),
    ],
)
def test_bad_traces_are_refused(tmp_path: Path, trace: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        validate_dram(golden(tmp_path, ROW, trace=trace))


def test_a_truncated_trace_is_refused(tmp_path: Path) -> None:
    file = golden(tmp_path, ROW)
    shutil.move(tmp_path / "traces" / "two.csv", tmp_path / "plain")
    whole = gzip.compress((tmp_path / "plain").read_bytes())
    (tmp_path / "traces" / "two.csv.gz").write_bytes(whole[:-9])
    with pytest.raises(InvalidInput, match=r"two.csv.gz: is no CSV file"):
        validate_dram(file)


def test_the_traces_of_the_rows_that_ship_are_there() -> None:
    assert len(list((SHIPPED.parent / "traces").glob("*.csv.gz"))) == 3
