"""What several unit tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from archsim.training.spec import TrainSpec, load_train_spec


@pytest.fixture
def axes() -> Axes:
    """Axes of a figure of their own."""
    return Figure().subplots()


@pytest.fixture
def training_folders(repository: Path) -> list[Path]:
    """Where the digits that are trained on lie."""
    return [repository / "workloads" / "training"]


@pytest.fixture
def brief_digits(training_folders: list[Path]) -> TrainSpec:
    """The training of the digits, for two epochs a phase."""
    full = load_train_spec(training_folders[0] / "digits.yaml")
    recipe = full.recipe.model_copy(update={"epochs": 2})
    return full.model_copy(update={"recipe": recipe, "heads": full.heads.model_copy(update={"epochs": 2})})
