"""The outcome of comparing predictions with a golden file, the same record for every target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

Number = int | float


class Validate(Protocol):
    """What ``archsim validate TARGET`` runs; registered in :mod:`archsim.cli.validate`."""

    def __call__(self, golden: Path | None) -> ValidationReport:
        """Compare with a golden file; None is the one that ships. Raises InvalidInput on a bad file."""
        ...


@dataclass(frozen=True, slots=True)
class RowComparison:
    """One row of a golden file.

    name: unique among the rows. golden, predicted: value by metric; both hold the same metrics. A row may lack a
    metric that others have.
    """

    name: str
    golden: Mapping[str, Number]
    predicted: Mapping[str, Number]

    def error_pct(self, metric: str) -> float:
        """Signed error of a metric in percent of its golden value; 100 where only the golden value is zero.

        >>> RowComparison("a", {"cycles": 200}, {"cycles": 190}).error_pct("cycles")
        -5.0
        """
        golden, predicted = self.golden[metric], self.predicted[metric]
        if golden == 0:
            return 0.0 if predicted == 0 else 100.0
        return 100.0 * (predicted - golden) / abs(golden)

    def to_json(self) -> dict[str, Any]:
        """``{row, metric: {golden, predicted, error_pct}}``."""
        metrics = {
            metric: {
                "golden": self.golden[metric],
                "predicted": self.predicted[metric],
                "error_pct": self.error_pct(metric),
            }
            for metric in self.golden
        }
        return {"row": self.name, **metrics}


@dataclass(frozen=True, slots=True)
class SkippedRow:
    """One row of a golden file that was not compared, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class MetricErrors:
    """Absolute errors of one metric over all rows that have it, in percent."""

    mape_pct: float
    max_pct: float


@dataclass(frozen=True)
class ValidationReport:
    """Predictions beside golden values. target: what was validated; at least one row with one metric.

    skipped: None for a target that compares every row. additive: metrics whose sum over the rows means something.
    """

    target: str
    rows: Sequence[RowComparison]
    skipped: Sequence[SkippedRow] | None = None
    additive: Sequence[str] = ()

    @property
    def totals(self) -> RowComparison | None:
        """Sums of the additive metrics over all rows; None where a target has none that every row has."""
        metrics = [metric for metric in self.additive if all(metric in row.golden for row in self.rows)]
        if not metrics or len(self.rows) < 2:
            return None
        golden, predicted = (
            {metric: sum(getattr(row, side)[metric] for row in self.rows) for metric in metrics}
            for side in ("golden", "predicted")
        )
        return RowComparison("total", golden, predicted)

    @property
    def errors_pct(self) -> list[tuple[float, RowComparison, str]]:
        """(absolute error, row, metric) of every pair."""
        return [(abs(row.error_pct(metric)), row, metric) for row in self.rows for metric in row.golden]

    @property
    def max_abs_error_pct(self) -> float:
        """Over all rows and metrics."""
        return max(error for error, _, _ in self.errors_pct)

    @property
    def mean_abs_error_pct(self) -> float:
        """Over all rows and metrics."""
        errors = self.errors_pct
        return sum(error for error, _, _ in errors) / len(errors)

    @property
    def by_metric(self) -> dict[str, MetricErrors]:
        """Errors of each metric, in the order in which metrics appear."""
        found: dict[str, list[float]] = {}
        for error, _, metric in self.errors_pct:
            found.setdefault(metric, []).append(error)
        return {
            metric: MetricErrors(sum(errors) / len(errors), max(errors)) for metric, errors in found.items()
        }

    def to_json(self) -> dict[str, Any]:
        """The keys that ``archsim validate --json`` promises; ``worst`` is the first pair with the largest error.

        Targets that may skip rows add ``skipped [{name, reason}]``, those with metrics that add up ``totals``.
        """
        _, row, metric = max(self.errors_pct, key=lambda found: found[0])
        skipped = None if self.skipped is None else [asdict(row) for row in self.skipped]
        return {
            "target": self.target,
            "rows": len(self.rows),
            "max_abs_error_pct": self.max_abs_error_pct,
            "mean_abs_error_pct": self.mean_abs_error_pct,
            "worst": {"row": row.name, "metric": metric, **row.to_json()[metric]},
            "by_metric": {
                metric: {"mape_pct": errors.mape_pct, "max_pct": errors.max_pct}
                for metric, errors in self.by_metric.items()
            },
            "per_row": [row.to_json() for row in self.rows],
            **({} if skipped is None else {"skipped": skipped}),
            **({} if self.totals is None else {"totals": self.totals.to_json()}),
        }
