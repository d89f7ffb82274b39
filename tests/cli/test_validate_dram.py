"""``archsim validate dram``."""

from __future__ import annotations

import json

from click.testing import CliRunner

from archsim.cli.main import cli
from archsim.validation.dram import SHIPPED


def test_json_and_text(tmp_path) -> None:
    lines = SHIPPED.read_text().splitlines()
    few = tmp_path / "results.csv"
    few.write_text("\n".join([lines[0], *(line for line in lines if ",FRFCFS,h1" in line)]) + "\n")
    with_unknown = tmp_path / "unknown.csv"
    with_unknown.write_text(few.read_text() + lines[1].replace("FRFCFS", "PER_BANK8") + "\n")
    (tmp_path / "traces").symlink_to(SHIPPED.parent / "traces")

    as_json = CliRunner().invoke(cli, ["validate", "dram", "--golden", str(few), "--json"])
    assert as_json.exit_code == 0, as_json.stderr
    found = json.loads(as_json.stdout)
    assert (found["target"], found["rows"], found["max_abs_error_pct"], found["skipped"]) == (
        "dram",
        6,
        0,
        [],
    )

    text = CliRunner().invoke(cli, ["validate", "dram", "--golden", str(with_unknown)])
    assert text.exit_code == 0, text.stderr
    assert [line.split()[0] for line in text.stdout.splitlines()[2:7]] == ["cycles", "ACT", "RD", "WR", "REF"]
    assert text.stderr == "rows skipped: 1 (archsim has no such controller)\n"
