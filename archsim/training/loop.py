"""The two phases of training: trunk and branches together, then the branches alone on the frozen trunk."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim.swa_utils import update_bn

from archsim.datasets import ImageBatch
from archsim.network.graph import FINAL
from archsim.training.augment import augment, cut_out
from archsim.training.checkpoint import TrainState
from archsim.training.data import TrainingData, normalised
from archsim.training.network import ExitNetwork, Tensors
from archsim.training.spec import TrainSpec

Record = dict[str, Any]
Progress = Callable[[Record], None]
_EVALUATION_BATCH_IMAGES = 500


def run_phase(state: TrainState, data: TrainingData, save: Callable[[], None], progress: Progress) -> None:
    """Trains the epochs that ``state.phase`` still lacks; ``save`` is called after every one of them."""
    spec, device = state.spec, state.device
    epochs = spec.epochs(state.phase)
    steps_per_epoch = math.ceil(len(data.train) / spec.recipe.batch)
    while state.epochs_done < epochs:
        losses: list[float] = []
        for step, (images, labels) in enumerate(_batches(state, data.train)):
            _set_rate(state, state.epochs_done * steps_per_epoch + step, epochs * steps_per_epoch)
            losses.append(_train_step(state, normalised(spec, images, device), labels.to(device)))
        trained = spec.recipe.branches if state.phase == "joint" else None
        accuracy = evaluate(state.model, spec, data.held_out, device, trained)
        state.epochs_done += 1
        record = {"phase": state.phase, "epoch": state.epochs_done, "loss": round(float(np.mean(losses)), 5)}
        state.log.append({**record, "held_out_accuracy": accuracy})
        save()
        progress(state.log[-1])


def evaluate(
    model: ExitNetwork,
    spec: TrainSpec,
    data: ImageBatch,
    device: torch.device,
    branches: Collection[str] | None = None,
) -> dict[str, float]:
    """Fraction of ``data`` that the final classifier and branches (default: all) get right, as precise as training."""
    model.eval()
    right: Counter[str] = Counter()
    for start in range(0, len(data), _EVALUATION_BATCH_IMAGES):
        chunk = slice(start, start + _EVALUATION_BATCH_IMAGES)
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=spec.bf16):
            logits = model(normalised(spec, data.images[chunk], device), branches)
        labels = torch.from_numpy(data.labels[chunk]).to(device)
        for name, values in logits.items():
            right[name] += int((values.argmax(1) == labels).sum())
    return {name: round(count / len(data), 5) for name, count in right.items()}


def measure_norms(state: TrainState, train: ImageBatch) -> None:
    """Gives batch normalisation the means and variances of its inputs in the augmented batches of the first epoch.

    Not of the images as they are: a network knows those so well that its activations differ from those on others.
    """
    batches = (normalised(state.spec, images, state.device) for images, _ in _batches(state, train))
    with torch.autocast(state.device.type, torch.bfloat16, enabled=state.spec.bf16):
        update_bn(batches, state.model)


def one_cycle(step: int, steps: int, peak: float) -> float:
    """Learning rate of ``step``: cosine from peak/25 up over the first 30 %, then cosine down to peak/10000.

    Source: Smith and Topin, Super-Convergence, 2019, with the cosine annealing of fast.ai.

    >>> round(one_cycle(30, 100, 0.2), 3), round(one_cycle(0, 100, 0.2), 3)
    (0.2, 0.008)
    """
    warm_steps = 0.3 * steps
    if step < warm_steps:
        start, end, part = peak / 25, peak, step / warm_steps
    else:
        start, end, part = peak, peak / 10_000, (step - warm_steps) / (steps - warm_steps)
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


def _batches(state: TrainState, train: ImageBatch) -> Iterator[tuple[np.ndarray[Any, Any], Tensor]]:
    """Augmented batches of one epoch; the order depends on seed, phase and epoch alone, so a resumed run repeats it."""
    recipe = state.spec.recipe
    rng = np.random.default_rng([state.spec.seed, 2 if state.phase == "joint" else 3, state.epochs_done])
    order = rng.permutation(len(train))
    padding_px, crop_px = _crop(state)
    mean_colour = np.rint(255 * np.asarray(state.spec.data.mean)).astype(np.uint8)
    for start in range(0, len(order), recipe.batch):
        rows = order[start : start + recipe.batch]
        images = augment(train.images[rows], padding_px, recipe.horizontal_flip, rng, crop_px)
        if recipe.cutout_px and state.phase == "joint":
            images = cut_out(images, recipe.cutout_px, mean_colour, rng)
        yield images, torch.from_numpy(train.labels[rows])


def _crop(state: TrainState) -> tuple[int, int | None]:
    """(padding, side of the crop) in pixels of the epoch that comes; a small crop needs no padding to be random."""
    recipe = state.spec.recipe
    small = recipe.small_crops
    if small and state.phase == "joint" and state.epochs_done < small.epochs:
        return 0, small.size_px
    return recipe.crop_padding_px, None


def _set_rate(state: TrainState, step: int, steps: int) -> None:
    if state.phase == "joint":
        rate = one_cycle(step, steps, state.spec.recipe.peak_lr)
    else:
        assert state.spec.heads is not None
        rate = state.spec.heads.peak_lr * (1 + math.cos(math.pi * step / steps)) / 2
    for group in state.optimiser.param_groups:
        group["lr"] = rate


def _train_step(state: TrainState, images: Tensor, labels: Tensor) -> float:
    spec, model, joint = state.spec, state.model, state.phase == "joint"
    model.train()
    if not joint:
        model.trunk_blocks.eval()
    with torch.autocast(images.device.type, torch.bfloat16, enabled=spec.bf16):
        logits = model(images, spec.recipe.branches) if joint else _on_frozen_trunk(model, images)
    final = logits.pop(FINAL).float()
    losses = [_branch_loss(spec, values.float(), final.detach(), labels) for values in logits.values()]
    branches = torch.stack(losses).sum() if losses else torch.zeros((), device=images.device)
    if joint:
        classified = F.cross_entropy(final, labels, label_smoothing=spec.recipe.label_smoothing)
        loss = classified + spec.recipe.branch_loss_weight * branches
    else:
        loss = branches
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    state.optimiser.step()
    return float(loss.detach())


def _branch_loss(spec: TrainSpec, logits: Tensor, final: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with the label, mixed with that of the softened final logits (Hinton et al., 2015, section 2)."""
    loss = F.cross_entropy(logits, labels)
    if spec.distillation is None:
        return loss
    share, temperature = spec.distillation.share, spec.distillation.temperature
    soft = F.kl_div(
        F.log_softmax(logits / temperature, 1), F.softmax(final / temperature, 1), reduction="batchmean"
    )
    return (1 - share) * loss + share * temperature**2 * soft


def _on_frozen_trunk(model: ExitNetwork, images: Tensor) -> Tensors:
    """All logits, without the trunk's gradients, which the second phase does not need."""
    with torch.no_grad():
        tensors = model.trunk_tensors(images)
    return {FINAL: tensors[model.network.layers[-1].name], **model.branch_logits(tensors)}
