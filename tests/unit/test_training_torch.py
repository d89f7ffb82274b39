"""Training on a few digits: resuming, folding, exporting. Needs torch."""

from __future__ import annotations

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
from archsim.training.checkpoint import new_state  # noqa: E402
from archsim.training.data import load_training_data, normalised  # noqa: E402
from archsim.training.fold import fold  # noqa: E402
from archsim.training.loop import one_cycle, run_phase  # noqa: E402
from archsim.training.network import ExitNetwork  # noqa: E402
from archsim.training.run import fit, quantised  # noqa: E402
from archsim.training.spec import DistillationSpec, SmallCropsSpec, network_of  # noqa: E402
from tests.unit.int8_reference import run_reference  # noqa: E402
from tests.unit.test_training_quantise import EVERY_OP  # noqa: E402

CPU = torch.device("cpu")


def test_second_phase_leaves_the_trunk_alone(
    brief_digits: TrainSpec, training_folders: list[Path], tmp_path: Path
) -> None:
    data = load_training_data(brief_digits, training_folders)
    state = new_state(brief_digits, CPU)
    run_phase(state, data, lambda: None, lambda record: None)
    state.enter_heads()
    before = {name: value.clone() for name, value in state.model.state_dict().items()}
    run_phase(state, data, lambda: None, lambda record: None)
    for name, value in state.model.state_dict().items():
        assert torch.equal(value, before[name]) == name.startswith("trunk_blocks"), name


def test_folding_is_exact_to_a_hundred_thousandth(
    brief_digits: TrainSpec, training_folders: list[Path], tmp_path: Path
) -> None:
    data = load_training_data(brief_digits, training_folders)
    model = fit(brief_digits, data, tmp_path, False, lambda record: None).model.eval()
    layer = model.network.by_name["conv2"]
    folded = fold(model)["conv2"]
    x = torch.randn(3, 8, 8, 8)
    with torch.no_grad():
        expected = model.block(layer)(x)
        weight = torch.from_numpy(folded.weight.transpose(3, 2, 0, 1)).float()
        found = torch.nn.functional.conv2d(x, weight, torch.from_numpy(folded.bias).float(), padding=1)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_integers_stand_for_the_float_network(
    brief_digits: TrainSpec, training_folders: list[Path], tmp_path: Path
) -> None:
    data = load_training_data(brief_digits, training_folders)
    state = fit(brief_digits, data, tmp_path, False, lambda record: None)
    arrays = quantised(state, data)
    tensors = run_reference(state.model.network, arrays, data.held_out.images)
    with torch.no_grad():
        logits = state.model.eval()(normalised(brief_digits, data.held_out.images, CPU))
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


def test_held_out_images_are_never_trained_on(brief_digits: TrainSpec, tmp_path: Path) -> None:
    images = np.arange(50, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 1), np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.zeros(50, int))
    data = brief_digits.data.model_copy(update={"train": ["a.npz"], "test": None, "held_out": 20})
    small = brief_digits.model_copy(update={"data": data})
    parts = load_training_data(small, [tmp_path])
    values = [set(part.images[:, 0, 0, 0].tolist()) for part in (parts.train, parts.held_out)]
    assert (len(values[0]), len(values[1])) == (30, 20)
    assert not values[0] & values[1]
    again = load_training_data(small, [tmp_path])
    np.testing.assert_array_equal(parts.held_out.images, again.held_out.images)
    too_many = small.model_copy(update={"data": data.model_copy(update={"held_out": 50})})
    with pytest.raises(InvalidInput, match="hold out"):
        load_training_data(too_many, [tmp_path])


def test_images_of_another_shape_or_class_are_refused(brief_digits: TrainSpec, tmp_path: Path) -> None:
    data = brief_digits.data.model_copy(update={"train": ["a.npz"], "test": None})
    small = brief_digits.model_copy(update={"data": data})
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
    brief_digits: TrainSpec, training_folders: list[Path], key: str, value: float
) -> None:
    data = load_training_data(brief_digits, training_folders)
    harder = brief_digits.model_copy(update={"recipe": brief_digits.recipe.model_copy(update={key: value})})
    states = [new_state(each, CPU) for each in (brief_digits, harder)]
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
    brief_digits: TrainSpec, training_folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, ...]] = []
    forward = ExitNetwork.forward

    def watched(model: ExitNetwork, images: torch.Tensor, *rest: object) -> object:
        if model.training:
            seen.append(tuple(images.shape[2:]))
        return forward(model, images, *rest)

    monkeypatch.setattr(ExitNetwork, "forward", watched)
    recipe = brief_digits.recipe.model_copy(update={"small_crops": SmallCropsSpec(epochs=1, size_px=6)})
    small = brief_digits.model_copy(update={"recipe": recipe})
    data = load_training_data(small, training_folders)
    run_phase(new_state(small, CPU), data, lambda: None, lambda record: None)
    half = len(seen) // 2
    assert set(seen[:half]) == {(6, 6)} and set(seen[half:]) == {(8, 8)}


def test_classifiers_read_a_crop_at_the_grid_of_the_image(brief_digits: TrainSpec) -> None:
    """Where a map has one value, its crop says the same to every classifier as the whole map."""
    model = ExitNetwork(network_of(brief_digits)).eval()
    layers = [layer for layer in model.network.all_layers() if layer.op == "linear"]
    assert {layer.input_shape.height > 1 for layer in layers} == {True}
    for layer in layers:
        shape = layer.input_shape
        whole = torch.full((1, shape.channels, shape.height, shape.width), 0.5)
        crop = whole[:, :, 1:, 1:]
        torch.testing.assert_close(model._output(layer, [crop]), model._output(layer, [whole]))


def test_only_named_branches_shape_the_trunk(brief_digits: TrainSpec, training_folders: list[Path]) -> None:
    recipe = brief_digits.recipe.model_copy(update={"branches": ["exit2"]})
    some = brief_digits.model_copy(update={"recipe": recipe, "distillation": DistillationSpec()})
    state = new_state(some, CPU)
    before = {name: value.clone() for name, value in state.model.branch_blocks.state_dict().items()}
    run_phase(state, load_training_data(some, training_folders), lambda: None, lambda record: None)
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


def test_batches_of_one_image_are_allowed(brief_digits: TrainSpec) -> None:
    model = ExitNetwork(network_of(brief_digits)).eval()
    assert model(normalised(brief_digits, np.zeros((1, 8, 8, 1), np.uint8), CPU))["final"].shape == (1, 10)
