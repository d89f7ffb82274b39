"""Parquet packs: a column of encoded images and a column of labels, streamed by record batches.

Two layouts are known: ``image`` as bytes, and Hugging Face's ``img`` or ``image`` as a struct with ``bytes``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from archsim.datasets.decode import decode_rgb
from archsim.datasets.image_set import ImageBatch, check_batch, invalid
from archsim.errors import MissingExtra

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_IMAGE_COLUMNS = ("image", "img")
_LABEL_COLUMNS = ("label", "labels", "fine_label")
_EXPECTED = "expected a column image (bytes) or img/image (struct with bytes), and a column label (integer)"


def iter_parquet(path: Path, batch_images: int, limit: int | None) -> Iterator[ImageBatch]:
    """Batches of at most ``batch_images`` images, ``limit`` in all; only the rows returned are decoded.

    Raises MissingExtra without pyarrow or Pillow, InvalidInput on a file that is not such a pack.
    """
    pack = _open(path)
    image_column, label_column = _columns(path, pack)
    left = pack.metadata.num_rows if limit is None else min(limit, pack.metadata.num_rows)
    first_row = 0
    batches = _record_batches(path, pack, batch_images, [image_column, label_column])
    while left > 0:
        record_batch = next(batches, None)
        if record_batch is None:
            raise invalid(path, f"found {first_row} rows, expected {left} more", "the file may be truncated")
        record_batch = record_batch.slice(0, left)
        yield _decode(path, record_batch, image_column, label_column, first_row)
        first_row += record_batch.num_rows
        left -= record_batch.num_rows


def parquet_class_names(path: Path) -> tuple[str, ...] | None:
    """Names in label order from a ``class`` column, None without one or where a label has no name."""
    pack = _open(path)
    _, label_column = _columns(path, pack)
    if "class" not in pack.schema_arrow.names:
        return None
    names: dict[int, str] = {}
    for batch in _record_batches(path, pack, 1 << 16, [label_column, "class"]):
        for label, name in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True):
            names.setdefault(label, str(name))
    return tuple(names[i] for i in range(len(names))) if set(names) == set(range(len(names))) else None


def _open(path: Path) -> pq.ParquetFile:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtra("data", "reading Parquet files") from None
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise invalid(
            path, f"found no readable Parquet file ({_first_line(error)})", "download it again"
        ) from None


def _columns(path: Path, pack: pq.ParquetFile) -> tuple[str, str]:
    """Names of the image column (``img.bytes`` inside a struct) and of the label column."""
    import pyarrow as pa

    schema = pack.schema_arrow
    label = next(
        (n for n in _LABEL_COLUMNS if n in schema.names and pa.types.is_integer(schema.field(n).type)), None
    )
    for name in (n for n in _IMAGE_COLUMNS if n in schema.names):
        kind = schema.field(name).type
        if label and (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            return name, label
        if label and pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            return f"{name}.bytes", label
    found = ", ".join(f"{field.name} ({field.type})" for field in schema)
    raise invalid(path, f"found the columns {found}; {_EXPECTED}", "rename the columns")


def _record_batches(
    path: Path, pack: pq.ParquetFile, rows: int, columns: list[str]
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    try:
        yield from pack.iter_batches(batch_size=rows, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise invalid(path, f"found damaged data ({_first_line(error)})", "download it again") from None


def _decode(
    path: Path, batch: pa.RecordBatch, image_column: str, label_column: str, first_row: int
) -> ImageBatch:
    if batch.column(batch.schema.get_field_index(label_column)).null_count:
        raise invalid(path, f"found a missing label after row {first_row}", key=label_column)
    labels = batch.column(batch.schema.get_field_index(label_column)).to_numpy(zero_copy_only=False)
    column: Any = batch.column(batch.schema.get_field_index(image_column.split(".", maxsplit=1)[0]))
    encoded = column.field("bytes") if "." in image_column else column
    images: list[NDArray[np.uint8]] = []
    for row, cell in enumerate(encoded):
        key = f"{image_column}[{first_row + row}]"
        if not cell.is_valid:
            raise invalid(path, "found no image", key=key)
        images.append(decode_rgb(cell.as_py(), path, key))
        if images[-1].shape != images[0].shape:
            message = (
                f"found {images[-1].shape[:2]} px, expected {images[0].shape[:2]} px as the images before"
            )
            raise invalid(path, message, "all images of a set must have one size", key)
    return check_batch(path, np.stack(images), labels.astype(np.int64))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
