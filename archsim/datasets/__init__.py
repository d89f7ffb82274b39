"""Readers of image data sets: ``load_images`` for all at once, ``iter_images`` for constant memory."""

from archsim.datasets.image_set import ImageBatch, ImageSet, join
from archsim.datasets.read import available_splits, find_pack, iter_images, load_images

__all__ = ["ImageBatch", "ImageSet", "available_splits", "find_pack", "iter_images", "join", "load_images"]
