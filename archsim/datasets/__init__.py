from archsim.datasets.image_set import ImageBatch, ImageSet
from archsim.datasets.parquet import iter_parquet
import numpy as np
def load_images(source, *, limit=None, split="test"):
    bs = list(iter_parquet(source, 1000, limit))
    return ImageSet(np.concatenate([b.images for b in bs]), np.concatenate([b.labels for b in bs]), None, "")
