"""Training on a few digits: resuming, folding, exporting. Needs torch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from archsim.api import load  # noqa: E402
from archsim.datasets.sources import find_source  # noqa: E402
from archsim.errors import InvalidInput  # noqa: E402
from archsim.quantisation.integer import integer_network  # noqa: E402
from archsim.training import TrainSpec, load_train_spec, train  # noqa: E402
from archsim.training.augment import augment, cut_out  # noqa: E402
from archsim.training.calibrate import activation_samples  # noqa: E402
from archsim.training.checkpoint import load_checkpoint, new_state, save_checkpoint, warm_start  # noqa: E402
from archsim.training.data import load_training_data, normalised  # noqa: E402
from archsim.training.fold import fold  # noqa: E402
from archsim.training.loop import one_cycle, run_phase  # noqa: E402
from archsim.training.network import ExitNetwork  # noqa: E402
from archsim.training.run import fit, quantised  # noqa: E402
from archsim.training.spec import DistillationSpec, SmallCropsSpec, network_of  # noqa: E402
from tests.unit.int8_reference import run_reference  # noqa: E402
from tests.unit.test_training_quantise import EVERY_OP  # noqa: E402

CPU = torch.device("cpu")


class Stopped(Exception):
    """Stands for a kill after an epoch."""


@pytest.fixture
def spec(repository: Path) -> TrainSpec:
    """The digits, for two epochs a phase."""
    full = load_train_spec(repository / "workloads" / "training" / "digits.yaml")
    recipe = full.recipe.model_copy(update={"epochs": 2})
    return full.model_copy(update={"recipe": recipe, "heads": full.heads.model_copy(update={"epochs": 2})})


@pytest.fixture
def folders(repository: Path) -> list[Path]:
    return [repository / "workloads" / "training"]


@pytest.mark.parametrize("epochs_before_kill", [1, 2, 3])
def test_resumed_run_is_bit_identical(
    spec: TrainSpec, folders: list[Path], tmp_path: Path, epochs_before_kill: int
) -> None:
    whole = train(spec, folders, tmp_path / "whole")
    seen: list[dict[str, object]] = []

    def stop(record: dict[str, object]) -> None:
        seen.append(record)
        if len(seen) == epochs_before_kill:
            raise Stopped

    with pytest.raises(Stopped):
        train(spec, folders, tmp_path / "cut", progress=stop)
    resumed = train(spec, folders, tmp_path / "cut", resume=True)
    for field in ("workload", "weights", "log"):
        assert getattr(resumed, field).read_bytes() == getattr(whole, field).read_bytes()
    records = [json.loads(line) for line in whole.log.read_text().splitlines()]
    assert [(r["phase"], r.get("epoch", r.get("data"))) for r in records] == [
        *(("joint", 1), ("joint", 2), ("heads", 1), ("heads", 2)),
        *(("int8", "held_out"), ("int8", "test")),
    ]
    assert (tmp_path / "whole" / "digits-images.npz").exists()


def test_second_phase_leaves_the_trunk_alone(spec: TrainSpec, folders: list[Path], tmp_path: Path) -> None:
    data = load_training_data(spec, folders)
    state = new_state(spec, CPU)
    run_phase(state, data, lambda: None, lambda record: None)
    state.enter_heads()
    before = {name: value.clone() for name, value in state.model.state_dict().items()}
    run_phase(state, data, lambda: None, lambda record: None)
    for name, value in state.model.state_dict().items():
        assert torch.equal(value, before[name]) == name.startswith("trunk_blocks"), name


def test_folding_is_exact_to_a_hundred_thousandth(
    spec: TrainSpec, folders: list[Path], tmp_path: Path
) -> None:
    data = load_training_data(spec, folders)
    model = fit(spec, data, tmp_path, False, lambda record: None).model.eval()
    layer = model.network.by_name["conv2"]
    folded = fold(model)["conv2"]
    x = torch.randn(3, 8, 8, 8)
    with torch.no_grad():
        expected = model.block(layer)(x)
        weight = torch.from_numpy(folded.weight.transpose(3, 2, 0, 1)).float()
        found = torch.nn.functional.conv2d(x, weight, torch.from_numpy(folded.bias).float(), padding=1)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_integers_stand_for_the_float_network(spec: TrainSpec, folders: list[Path], tmp_path: Path) -> None:
    data = load_training_data(spec, folders)
    state = fit(spec, data, tmp_path, False, lambda record: None)
    arrays = quantised(state, data)
    tensors = run_reference(state.model.network, arrays, data.held_out.images)
    with torch.no_grad():
        logits = state.model.eval()(normalised(spec, data.held_out.images, CPU))
    for name, layer in (("final", "fc"), ("exit1", "exit1.fc"), ("exit2", "exit2.fc")):
        found = tensors[layer][:, 0, 0, :].astype(float).ravel()
        expected = logits[name].double().numpy().ravel()
        assert np.corrcoef(found, expected)[0, 1] > 0.995


def test_every_operator_trains_and_quantises(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(EVERY_OP)
    spec = load_train_spec(tmp_path / "spec.yaml")
    images = np.random.default_rng(0).integers(0, 256, (16, 9, 8, 2), dtype=np.uint8)
    state = new_state(spec, CPU)
    logits = state.model.eval()(normalised(spec, images, CPU))
    assert {name: tuple(values.shape) for name, values in logits.items()} == dict.fromkeys(
        ("early", "late", "final"), (16, 5)
    )
    sum(values.square().mean() for values in logits.values()).backward()
    assert all(parameter.grad is not None for parameter in state.model.parameters())
    samples = activation_samples(state.model, spec, images, CPU)
    arrays = integer_network(state.model.network, fold(state.model), samples, spec.quantisation)
    tensors = run_reference(state.model.network, arrays, images)
    for name, layer in (("final", "fc"), ("early", "early.fc"), ("late", "late.fc")):
        expected = logits[name].detach().double().numpy().ravel()
        assert np.corrcoef(tensors[layer].astype(float).ravel(), expected)[0, 1] > 0.97


def test_checkpoint_of_another_spec_or_damaged_is_refused(
    spec: TrainSpec, folders: list[Path], tmp_path: Path
) -> None:
    fit(spec, load_training_data(spec, folders), tmp_path, False, lambda record: None)
    path = tmp_path / "digits.checkpoint.pt"
    assert load_checkpoint(spec, CPU, path).phase == "heads"
    with pytest.raises(InvalidInput, match="another training spec"):
        load_checkpoint(spec.model_copy(update={"seed": 2}), CPU, path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InvalidInput, match=r"checkpoint\.pt"):
        load_checkpoint(spec, CPU, path)


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
    spec: TrainSpec, tmp_path: Path, key: str, value: object, message: str
) -> None:
    """value None: the key is missing."""
    path = tmp_path / "digits.checkpoint.pt"
    save_checkpoint(new_state(spec, CPU), path)
    content = torch.load(path, weights_only=True)
    rest = {name: kept for name, kept in content.items() if name != key}
    torch.save(rest if value is None else {**rest, key: value}, path)
    with pytest.raises(InvalidInput, match=rf"checkpoint\.pt: found no usable checkpoint \({message}"):
        load_checkpoint(spec, CPU, path)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_checkpoint_that_holds_no_tensors_is_no_start(
    spec: TrainSpec, tmp_path: Path, is_there: bool
) -> None:
    state = new_state(spec, CPU)
    name = next(iter(state.model.state_dict()))
    torch.save({"model": {name: 3} if is_there else 3}, tmp_path / "other.checkpoint.pt")
    with pytest.raises(InvalidInput, match=r"other\.checkpoint\.pt: found no usable checkpoint"):
        warm_start(state, tmp_path / "other.checkpoint.pt")


def test_held_out_images_are_never_trained_on(spec: TrainSpec, tmp_path: Path) -> None:
    images = np.arange(50, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 1), np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.zeros(50, int))
    data = spec.data.model_copy(update={"train": ["a.npz"], "test": None, "held_out": 20})
    small = spec.model_copy(update={"data": data})
    parts = load_training_data(small, [tmp_path])
    values = [set(part.images[:, 0, 0, 0].tolist()) for part in (parts.train, parts.held_out)]
    assert (len(values[0]), len(values[1])) == (30, 20)
    assert not values[0] & values[1]
    again = load_training_data(small, [tmp_path])
    np.testing.assert_array_equal(parts.held_out.images, again.held_out.images)
    too_many = small.model_copy(update={"data": data.model_copy(update={"held_out": 50})})
    with pytest.raises(InvalidInput, match="hold out"):
        load_training_data(too_many, [tmp_path])


def test_images_of_another_shape_or_class_are_refused(spec: TrainSpec, tmp_path: Path) -> None:
    data = spec.data.model_copy(update={"train": ["a.npz"], "test": None})
    small = spec.model_copy(update={"data": data})
    np.savez(tmp_path / "a.npz", images=np.zeros((5, 9, 8, 1), np.uint8), labels=np.zeros(5, int))
    with pytest.raises(InvalidInput, match=r"expected \(8, 8, 1\)"):
        load_training_data(small, [tmp_path])
    np.savez(tmp_path / "a.npz", images=np.zeros((5, 8, 8, 1), np.uint8), labels=np.full(5, 10))
    with pytest.raises(InvalidInput, match="below 10"):
        load_training_data(small, [tmp_path])


def test_missing_data_names_every_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHSIM_DATA", str(tmp_path / "b"))
    with pytest.raises(InvalidInput) as caught:
        find_source("x.parquet", [tmp_path / "a"])
    assert str(tmp_path / "a") in str(caught.value) and str(tmp_path / "b") in str(caught.value)
    file = tmp_path / "x.parquet"
    file.touch()
    assert find_source("other.parquet", [file]) == file


def test_augmentation_shifts_and_mirrors_each_image() -> None:
    images = np.random.default_rng(0).integers(1, 256, (200, 6, 6, 1), dtype=np.uint8)
    found = augment(images, 1, True, np.random.default_rng(1))
    assert found.shape == images.shape and found.dtype == np.uint8
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    kinds = set()
    for before, after in zip(padded, found, strict=True):
        crops = {
            (y, x, step): before[y : y + 6, x : x + 6][:, ::step]
            for y in range(3)
            for x in range(3)
            for step in (1, -1)
        }
        kinds |= {kind for kind, crop in crops.items() if np.array_equal(crop, after)}
    assert len(kinds) == 18
    np.testing.assert_array_equal(augment(images, 0, False, np.random.default_rng(1)), images)


def test_small_crops_are_parts_of_the_image() -> None:
    images = np.random.default_rng(0).integers(1, 256, (300, 6, 6, 1), dtype=np.uint8)
    found = augment(images, 0, False, np.random.default_rng(1), crop_px=4)
    offsets = set()
    for before, after in zip(images, found, strict=True):
        offsets |= {
            (y, x) for y in range(3) for x in range(3) if np.array_equal(before[y : y + 4, x : x + 4], after)
        }
    assert found.shape == (300, 4, 4, 1) and len(offsets) == 9


def test_cutout_hides_one_square_of_each_image() -> None:
    images = np.full((400, 7, 6, 2), 9, dtype=np.uint8)
    found = cut_out(images, 3, np.array([1, 2], dtype=np.uint8), np.random.default_rng(1))
    sizes = set()
    for image in found:
        rows, columns = np.nonzero(image[:, :, 0] != 9)
        square = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert (square == [1, 2]).all() and square.shape[0] * square.shape[1] == len(rows)
        sizes.add(square.shape[:2])
    assert sizes == {(height, width) for height in (2, 3) for width in (2, 3)}
    assert (images == 9).all()


@pytest.mark.parametrize("key, value", [("cutout_px", 3), ("label_smoothing", 0.2)])
def test_regularisers_change_joint_training_alone(
    spec: TrainSpec, folders: list[Path], key: str, value: float
) -> None:
    data = load_training_data(spec, folders)
    harder = spec.model_copy(update={"recipe": spec.recipe.model_copy(update={key: value})})
    states = [new_state(each, CPU) for each in (spec, harder)]
    for state in states:
        run_phase(state, data, lambda: None, lambda record: None)
    plain, regularised = (state.log[-1] for state in states)
    assert regularised["loss"] > plain["loss"]
    states[1].model.load_state_dict(states[0].model.state_dict())
    for state in states:
        state.enter_heads()
        run_phase(state, data, lambda: None, lambda record: None)
    assert states[0].log[2:] == states[1].log[2:]


def test_first_epochs_train_on_small_crops(
    spec: TrainSpec, folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, ...]] = []
    forward = ExitNetwork.forward

    def watched(model: ExitNetwork, images: torch.Tensor, *rest: object) -> object:
        if model.training:
            seen.append(tuple(images.shape[2:]))
        return forward(model, images, *rest)

    monkeypatch.setattr(ExitNetwork, "forward", watched)
    recipe = spec.recipe.model_copy(update={"small_crops": SmallCropsSpec(epochs=1, size_px=6)})
    small = spec.model_copy(update={"recipe": recipe})
    data = load_training_data(small, folders)
    run_phase(new_state(small, CPU), data, lambda: None, lambda record: None)
    half = len(seen) // 2
    assert set(seen[:half]) == {(6, 6)} and set(seen[half:]) == {(8, 8)}


def test_classifiers_read_a_crop_at_the_grid_of_the_image(spec: TrainSpec) -> None:
    """Where a map has one value, its crop says the same to every classifier as the whole map."""
    model = ExitNetwork(network_of(spec)).eval()
    layers = [layer for layer in model.network.all_layers() if layer.op == "linear"]
    assert {layer.input_shape.height > 1 for layer in layers} == {True}
    for layer in layers:
        shape = layer.input_shape
        whole = torch.full((1, shape.channels, shape.height, shape.width), 0.5)
        crop = whole[:, :, 1:, 1:]
        torch.testing.assert_close(model._output(layer, [crop]), model._output(layer, [whole]))


def test_a_run_starts_from_another(spec: TrainSpec, folders: list[Path], tmp_path: Path) -> None:
    plain = spec.model_copy(update={"name": "plain", "branches": [], "heads": None})
    train(plain, folders, tmp_path / "plain")
    trunk = load_checkpoint(plain, CPU, tmp_path / "plain" / "plain.checkpoint.pt").model.trunk_blocks
    recipe = spec.recipe.model_copy(update={"epochs": 0})
    second = spec.model_copy(update={"start": "plain", "recipe": recipe, "thresholds": None})
    result = train(second, folders, tmp_path / "second")
    found = load_checkpoint(second, CPU, tmp_path / "second" / "digits.checkpoint.pt").model.trunk_blocks
    assert all(torch.equal(found.state_dict()[name], value) for name, value in trunk.state_dict().items())
    workload = load(result.workload)
    assert [(b.name, b.threshold) for b in workload.network.branches] == [("exit1", None), ("exit2", None)]
    first = spec.layers[0].model_copy(update={"filters": 9})
    wider = second.model_copy(update={"layers": [first, *spec.layers[1:]]})
    with pytest.raises(InvalidInput, match="no weights that fit conv1, conv2"):
        train(wider, folders, tmp_path / "wider", resume=False)
    with pytest.raises(InvalidInput, match="nowhere"):
        train(second.model_copy(update={"start": "nowhere"}), folders, tmp_path / "lost")


def test_only_named_branches_shape_the_trunk(spec: TrainSpec, folders: list[Path]) -> None:
    recipe = spec.recipe.model_copy(update={"branches": ["exit2"]})
    some = spec.model_copy(update={"recipe": recipe, "distillation": DistillationSpec()})
    state = new_state(some, CPU)
    before = {name: value.clone() for name, value in state.model.branch_blocks.state_dict().items()}
    run_phase(state, load_training_data(some, folders), lambda: None, lambda record: None)
    after = state.model.branch_blocks.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(after[name], value)}
    assert changed == {name for name in before if "exit2" in name}
    assert set(state.log[-1]["held_out_accuracy"]) == {"final", "exit2"}


@pytest.mark.slow
def test_the_recipe_for_tiny_imagenet_runs(repository: Path, tmp_path: Path) -> None:
    """Both of its training runs, an epoch a phase, on 48 made-up images of its shape and number of classes."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (48, 64, 64, 3), dtype=np.uint8)
    np.savez(tmp_path / "made-up.npz", images=images, labels=rng.integers(0, 200, 48))
    for name in ("vgg16-tinyimagenet", "vgg16-tinyimagenet-candidates"):
        full = load_train_spec(repository / "workloads" / "training" / f"{name}.yaml")
        small_crops = full.recipe.small_crops and full.recipe.small_crops.model_copy(update={"epochs": 1})
        recipe = full.recipe.model_copy(update={"epochs": 1, "batch": 16, "small_crops": small_crops})
        data = full.data.model_copy(
            update={"train": ["made-up.npz"], "test": None, "trace_images": 0, "held_out": 16}
        )
        heads = full.heads and full.heads.model_copy(update={"epochs": 1})
        spec = full.model_copy(update={"recipe": recipe, "data": data, "heads": heads})
        result = train(spec, [tmp_path], tmp_path / name)
        network = load(result.workload).network
        assert len(network.branches) == len(full.branches)
        assert result.held_out["images"] == 16


def test_one_cycle_goes_up_then_down() -> None:
    rates = [one_cycle(step, 100, 0.2) for step in range(100)]
    assert rates.index(max(rates)) == 30
    assert rates[:31] == sorted(rates[:31]) and rates[30:] == sorted(rates[30:], reverse=True)
    assert rates[-1] < 0.001


def test_batches_of_one_image_are_allowed(spec: TrainSpec) -> None:
    model = ExitNetwork(network_of(spec)).eval()
    assert model(normalised(spec, np.zeros((1, 8, 8, 1), np.uint8), CPU))["final"].shape == (1, 10)
