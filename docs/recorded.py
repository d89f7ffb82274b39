"""Tables of what has been measured, from the records that measurements left: for ``docs/generate.py``."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / "workloads" / "exits" / "reports"
Kept = dict[str, str]
"""Last cell of a row of the page as it is, by the first."""


def table(header: tuple[str, ...], rows: Collection[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ("---",) * len(header), *rows))


def escaped(text: str) -> str:
    """Text as a cell may hold it."""
    return " ".join(text.replace("``", "`").replace("|", r"\|").split())


def _record(name: str) -> Any:
    return json.loads((ROOT / "docs" / "explanation" / f"{name}.json").read_text(encoding="utf-8"))


def fuzz_table(_: Kept) -> str:
    """What became of damaged files, as ``tests/hostile/fuzz.py`` has written it."""
    found = _record("fuzz")
    sums, most = ("cases", "guided", "kept", "read", "refused"), ("longest_s", "memory_mib")
    whole = {"reader": "all", **{key: sum(row[key] for row in found["readers"]) for key in sums}}
    whole |= {key: max(row[key] for row in found["readers"]) for key in most}
    rows = [
        (*(str(row[key]) for key in ("reader", *sums)), f"{row['longest_s']:.2f}", str(row["memory_mib"]))
        for row in (*found["readers"], whole)
    ]
    header = ("reader", "cases", "by coverage", "kept", "read", "refused", "longest, s", "memory, MiB")
    return f"Tracebacks 0, hangs 0, of `{found['command']}`:\n\n{table(header, rows)}"


def trust_table(_: Kept) -> str:
    """What was tried, how much of it, what came of it, and the command that does it again."""
    fuzz, load = _record("fuzz"), _record("load")
    readers, smallest = fuzz["readers"], {row["what"]: row for row in reversed(load["rows"])}
    cases, guided = (sum(row[key] for row in readers) for key in ("cases", "guided"))
    longest_s, memory_mib = (max(row[key] for row in readers) for key in ("longest_s", "memory_mib"))
    tried = f"{cases:,} for {len(readers)} readers, {guided:,} of them guided by coverage"
    came = f"0 tracebacks, 0 hangs; at most {longest_s:.1f} s and {memory_mib} MiB"
    faults = "`pytest tests/hostile/test_faults.py tests/cli/test_sweep_faults.py`"
    rows = [
        ("damaged and hostile files", tried, came, f"`{fuzz['command']}`"),
        ("faults", "those of the table below", "nothing lost that was finished", faults),
    ]
    for row in load["rows"]:
        first = smallest[row["what"]]
        more, larger = row["memory_mib"] - first["memory_mib"], row["size"] - first["size"]
        each = f" ({1024 * more / larger:.2f} KiB for each more)" if more > 0 else ""
        came = f"{row['memory_mib']} MiB{each}, {row['processor_s']:.0f} s of processor time"
        rows.append((row["what"], f"{row['size']:,} {row['unit']}", came, f"`{load['command']}`"))
    for row in _record("mutants")["packages"]:
        much, came = f"{row['mutants']} wrong lines, {row['sample']}", f"{row['share']} noticed"
        rows.append((f"tests of `{row['package']}`", much, came, f"`{row['command']}`"))
    return table(("tried", "how much", "outcome", "command"), rows)


def mutant_table(_: Kept) -> str:
    """Which wrong lines the tests have noticed, as ``tests/mutants/run.py`` has written it."""
    found = _record("mutants")
    keys = ("package", "sample", "places", "mutants", "killed", "share", "survivors_explained")
    rows = [tuple(str(row[key]) for key in keys) for row in (*found["earlier"], *found["packages"])]
    header = ("package", "sample", "places", "drawn", "noticed", "share (95 %)", "rest, explained")
    shown, coverage = table(header, sorted(rows, key=lambda row: row[0])), found["coverage"]
    return f"{shown}\n\nBranches taken: {coverage['branch_pct']} %, of `{coverage['command']}`."


def survivor_table(_: Kept) -> str:
    """The wrong lines that no test has noticed, and why where it is known."""
    lost = _record("mutants")["survivors"]
    rows = [
        (*(f"`{escaped(cell)}`" for cell in row[:3]), escaped(row[3]) or "a test is missing") for row in lost
    ]
    return table(("file", "line", "made", "why no test fails"), rows)


def _reports_with_exits(data: str) -> list[Any]:
    files = sorted(REPORTS.glob(f"*-{data}*.json"))
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    return [report for report in reports if report["branches"]]


def _log(training: str) -> list[Any]:
    path = ROOT / "workloads" / "training" / f"{training}.log.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def dbp_table(data: str, _: Kept) -> str:
    """What DBP does to the exits chosen on one data set, in share of the full network's cost, on held-out images."""
    rows = []
    for report in _reports_with_exits(data):
        costs = [
            report["controls"][key]["cost_fraction"] for key in ("without_dbp", "random_dbp", "oracle_dbp")
        ]
        chosen = report["cost_fraction"]
        shares = [f"{100 * cost:.3f}" for cost in (costs[0], chosen, *costs[1:])]
        ranges = (
            [branch[key] for branch in report["branches"] if branch[key] is not None]
            for key in ("auc", "margin_auc")
        )
        told = (f"{min(found):.2f} to {max(found):.2f}" if found else "" for found in ranges)
        rows.append((f"`{report['name']}`", report["objective"], *shares, *told))
    header = (
        "exits",
        "cost in",
        "without DBP, %",
        "as chosen, %",
        "by chance, %",
        "perfect, %",
        "AUC of the sum",
        "of the margin before",
    )
    return table(header, rows)


def exits_table(data: str, _: Kept) -> str:
    """What exits chosen on one data set do to the test images, against the full network that each has."""
    rows = []
    for report in _reports_with_exits(data):
        seen = report["test"]
        shares = [f"{100 * seen[key]:.2f}" for key in ("full_network_accuracy", "accuracy")]
        used = [f"{100 * seen[key]:.2f}" for key in ("params_used_fraction", "macs_used_fraction")]
        rows.append(
            (f"`{report['name']}`", *shares, f"{seen['delta_pp']:+.2f}", f"{seen['mcnemar_p']:.3f}", *used)
        )
    header = (
        "exits",
        "full network, %",
        "with exits, %",
        "difference, pp",
        "McNemar p",
        "parameters, %",
        "MACs, %",
    )
    return table(header, rows)


def classifier_table(training: str, _: Kept) -> str:
    """Accuracy of every candidate branch and of the final classifier in int8, by position and structure."""
    log = _log(training)
    *_, measured = (record["classifier_accuracy"] for record in log if record["phase"] == "int8")
    found = {tuple(name.split("-")): accuracy for name, accuracy in measured.items() if "-" in name}
    structures, positions = (list(dict.fromkeys(names)) for names in zip(*found, strict=True))
    rows: list[tuple[str, ...]] = []
    for position in positions:
        row = (found.get((structure, position)) for structure in structures)
        rows.append((f"`{position}`", *("" if part is None else f"{100 * part:.2f}" for part in row)))
    whole = ", ".join(f"{name} {100 * part:.2f}" for name, part in measured.items() if "-" not in name)
    header = ("behind", *(f"`{structure}`" for structure in structures))
    return f"{table(header, rows)}\n\nClassifiers of the whole trunk: {whole}."


def branch_table(_: Kept) -> str:
    """Branches that the tests take, by package, as ``tests/branches.py`` has written them."""
    packages = _record("branches")["packages"]
    whole = {"package": "all", **{key: sum(row[key] for row in packages) for key in ("branches", "taken")}}
    rows = [
        (f"`{row['package']}`", str(row["branches"]), f"{100 * row['taken'] / row['branches']:.1f}")
        for row in (*packages, whole)
        if row["branches"]
    ]
    return table(("package", "branches", "taken, %"), rows)


def training_table(_: Kept) -> str:
    """The full network after each training of the family, by the logs and the report of what the last became."""
    built = json.loads((REPORTS / "vgg16-cifar10.json").read_text(encoding="utf-8"))["test"]
    rows, epochs = [], 0
    for name in (f"vgg16-cifar10{part}" for part in ("-first-cycle", "-second-cycle", "", "-candidates")):
        log = _log(name)
        *_, last = (record for record in log if record["phase"] == "joint")
        epochs += last["epoch"]
        int8 = {
            record["data"]: record["full_network_accuracy"] for record in log if record["phase"] == "int8"
        }
        if name.endswith("-candidates"):
            int8["test"] = built["full_network_accuracy"]
        accuracies = (last["held_out_accuracy"]["final"], int8.get("held_out"), int8.get("test"))
        shown = (f"{100 * accuracy:.2f}" if accuracy is not None else "" for accuracy in accuracies)
        rows.append((f"`{name}`", str(last["epoch"]), str(epochs), *shown))
    header = ("training", "epochs", "in all", "held-out accuracy, %", "in int8, %", "test images in int8, %")
    return table(header, rows)


RECORDED: dict[str, Callable[[Kept], str]] = {
    "branches": branch_table,
    "classifiers-cifar10": partial(classifier_table, "vgg16-cifar10-candidates"),
    "classifiers-tinyimagenet": partial(classifier_table, "vgg16-half-tinyimagenet-candidates"),
    "dbp-cifar10": partial(dbp_table, "cifar10"),
    "dbp-tinyimagenet": partial(dbp_table, "tinyimagenet"),
    "exits-cifar10": partial(exits_table, "cifar10"),
    "exits-tinyimagenet": partial(exits_table, "tinyimagenet"),
    "fuzz": fuzz_table,
    "mutants": mutant_table,
    "survivors": survivor_table,
    "training": training_table,
    "trust": trust_table,
}
