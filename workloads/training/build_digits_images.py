"""Writes ``workloads/digits-images.npz`` from scikit-learn's copy of the UCI handwritten digits.

Run: python workloads/training/build_digits_images.py

E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998,
https://doi.org/10.24432/C50P49, CC BY 4.0. Changed: grey levels 0 to 16 are multiplied by 15; a split is added.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

GREY_LEVEL_SCALE = 15
SPLIT_SEED = 1
TEST_IMAGES = 360
HELD_OUT_IMAGES = 537


def main() -> None:
    """Arrays: images uint8 (1797, 8, 8, 1), labels int64, class_names, split_train / _held_out / _test: row numbers."""
    digits = load_digits()
    order = np.random.default_rng(SPLIT_SEED).permutation(len(digits.target))
    test, held_out, train = np.split(order, [TEST_IMAGES, TEST_IMAGES + HELD_OUT_IMAGES])
    np.savez_compressed(
        Path(__file__).resolve().parents[1] / "digits-images.npz",
        images=(digits.images * GREY_LEVEL_SCALE).astype(np.uint8)[..., None],
        labels=digits.target.astype(np.int64),
        class_names=np.array([str(name) for name in digits.target_names]),
        split_train=np.sort(train),
        split_held_out=np.sort(held_out),
        split_test=np.sort(test),
    )


if __name__ == "__main__":
    main()
