"""What a training starts from: its own checkpoint after a kill, those of other runs. Needs torch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from archsim.api import load  # noqa: E402
from archsim.errors import InvalidInput  # noqa: E402
from archsim.training import TrainSpec, train  # noqa: E402
from archsim.training.checkpoint import load_checkpoint, new_state, save_checkpoint, warm_start  # noqa: E402
from archsim.training.data import load_training_data, normalised  # noqa: E402
from archsim.training.loop import _batches  # noqa: E402
from archsim.training.run import fit  # noqa: E402

CPU = torch.device("cpu")


class Stopped(Exception):
    """Stands for a kill after an epoch."""


@pytest.mark.parametrize("epochs_before_kill", [1, 2, 3])
def test_resumed_run_is_bit_identical(
    brief_digits: TrainSpec, training_folders: list[Path], tmp_path: Path, epochs_before_kill: int
) -> None:
    whole = train(brief_digits, training_folders, tmp_path / "whole")
    seen: list[dict[str, object]] = []

    def stop(record: dict[str, object]) -> None:
        seen.append(record)
        if len(seen) == epochs_before_kill:
            raise Stopped

    with pytest.raises(Stopped):
        train(brief_digits, training_folders, tmp_path / "cut", progress=stop)
    resumed = train(brief_digits, training_folders, tmp_path / "cut", resume=True)
    for field in ("workload", "weights", "log"):
        assert getattr(resumed, field).read_bytes() == getattr(whole, field).read_bytes()
    records = [json.loads(line) for line in whole.log.read_text().splitlines()]
    assert [(r["phase"], r.get("epoch", r.get("data"))) for r in records] == [
        *(("joint", 1), ("joint", 2), ("heads", 1), ("heads", 2)),
        *(("int8", "held_out"), ("int8", "test")),
    ]
    assert (tmp_path / "whole" / "digits-images.npz").exists()


def test_checkpoint_of_another_spec_or_damaged_is_refused(
    brief_digits: TrainSpec, training_folders: list[Path], tmp_path: Path
) -> None:
    fit(
        brief_digits, load_training_data(brief_digits, training_folders), tmp_path, False, lambda record: None
    )
    path = tmp_path / "digits.checkpoint.pt"
    assert load_checkpoint(brief_digits, CPU, path).phase == "heads"
    with pytest.raises(InvalidInput, match="another training spec"):
        load_checkpoint(brief_digits.model_copy(update={"seed": 2}), CPU, path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InvalidInput, match=r"checkpoint\.pt"):
        load_checkpoint(brief_digits, CPU, path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("epochs_done", None, "'epochs_done'"),
        ("epochs_done", "2", "epochs_done is '2'"),
        ("epochs_done", -1, "epochs_done is -1"),
        ("log", None, "'log'"),
        ("log", "[{}", "Expecting"),
        ("log", "{}", "log holds no records"),
        ("log", "[1]", "log holds no records"),
    ],
)
def test_a_checkpoint_with_damaged_progress_is_refused(
    brief_digits: TrainSpec, tmp_path: Path, key: str, value: object, message: str
) -> None:
    """value None: the key is missing."""
    path = tmp_path / "digits.checkpoint.pt"
    save_checkpoint(new_state(brief_digits, CPU), path)
    content = torch.load(path, weights_only=True)
    rest = {name: kept for name, kept in content.items() if name != key}
    torch.save(rest if value is None else {**rest, key: value}, path)
    with pytest.raises(InvalidInput, match=rf"checkpoint\.pt: found no usable checkpoint \({message}"):
        load_checkpoint(brief_digits, CPU, path)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_checkpoint_that_holds_no_tensors_is_no_start(
    brief_digits: TrainSpec, tmp_path: Path, is_there: bool
) -> None:
    state = new_state(brief_digits, CPU)
    name = next(iter(state.model.state_dict()))
    torch.save({"model": {name: 3} if is_there else 3}, tmp_path / "other.checkpoint.pt")
    with pytest.raises(InvalidInput, match=r"other\.checkpoint\.pt: found no usable checkpoint"):
        warm_start(state, [tmp_path / "other.checkpoint.pt"])


def test_a_run_starts_from_another(
    brief_digits: TrainSpec, training_folders: list[Path], tmp_path: Path
) -> None:
    plain = brief_digits.model_copy(update={"name": "plain", "branches": [], "heads": None})
    train(plain, training_folders, tmp_path / "plain")
    trunk = load_checkpoint(plain, CPU, tmp_path / "plain" / "plain.checkpoint.pt").model.trunk_blocks
    recipe = brief_digits.recipe.model_copy(update={"epochs": 0})
    second = brief_digits.model_copy(update={"start": ["plain"], "recipe": recipe, "thresholds": None})
    result = train(second, training_folders, tmp_path / "second")
    found = load_checkpoint(second, CPU, tmp_path / "second" / "digits.checkpoint.pt").model.trunk_blocks
    assert all(torch.equal(found.state_dict()[name], value) for name, value in trunk.state_dict().items())
    workload = load(result.workload)
    assert [(b.name, b.threshold) for b in workload.network.branches] == [("exit1", None), ("exit2", None)]
    first = brief_digits.layers[0].model_copy(update={"filters": 9})
    wider = second.model_copy(update={"layers": [first, *brief_digits.layers[1:]]})
    with pytest.raises(InvalidInput, match="no weights that fit conv1, conv2"):
        train(wider, training_folders, tmp_path / "wider", resume=False)
    with pytest.raises(InvalidInput, match="nowhere"):
        train(second.model_copy(update={"start": ["nowhere"]}), training_folders, tmp_path / "lost")


def test_a_start_from_several_runs_is_their_mean(
    brief_digits: TrainSpec, training_folders: list[Path], tmp_path: Path
) -> None:
    data = load_training_data(brief_digits, training_folders)
    runs = []
    for seed, name in ((1, "one"), (2, "two")):
        plain = brief_digits.model_copy(update={"name": name, "seed": seed, "branches": [], "heads": None})
        runs.append(fit(plain, data, tmp_path / name, False, lambda record: None).model.state_dict())
    recipe = brief_digits.recipe.model_copy(update={"epochs": 0})
    mean = brief_digits.model_copy(update={"start": ["one", "two"], "recipe": recipe})
    state = fit(mean, data, tmp_path / "mean", False, lambda record: None)
    trunk = {name: value for name, value in state.model.state_dict().items() if name in runs[0]}
    statistics = {name for name in trunk if name.split(".")[-1] in ("running_mean", "running_var")}
    for name in trunk.keys() - statistics:
        if trunk[name].is_floating_point():
            torch.testing.assert_close(trunk[name], (runs[0][name] + runs[1][name]) / 2)
    assert len(statistics) == 2 * 5
    convolution, norm = state.model.block(state.model.network.by_name["conv1"])
    with torch.no_grad():
        batches = _batches(new_state(mean, CPU), data.train)
        maps = [convolution(normalised(mean, images, CPU)) for images, _ in batches]
    means, variances = (
        torch.stack([getattr(values, kind)(dim=(0, 2, 3)) for values in maps]).mean(0)
        for kind in ("mean", "var")
    )
    torch.testing.assert_close(norm.running_mean, means)
    torch.testing.assert_close(norm.running_var, variances)
    first = state.log[0]
    assert (first["phase"], first["of"]) == ("mean", ["one", "two"])
    assert first["held_out_accuracy"]["final"] == state.log[1]["held_out_accuracy"]["final"]
