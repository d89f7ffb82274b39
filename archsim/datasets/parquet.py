"""Parquet packs: a column of encoded images and a column of labels, streamed by record batches.

Two layouts are known: ``image`` as bytes, and Hugging Face's ``img`` or ``image`` as a struct with ``bytes``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from archsim.datasets.decode import decode_rgb
from archsim.datasets.image_set import ImageBatch, check_batch, images_a_batch, invalid
from archsim.errors import MissingExtra

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_IMAGE_COLUMNS = ("image", "img")
_LABEL_COLUMNS = ("label", "labels", "fine_label")
_CLASS_COLUMN = "class"
_ROWS_AT_A_TIME = 16
"""A small file can say that every row is the same large text."""
_READ_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    NotImplementedError,
    MemoryError,
)
"""All that pyarrow raises: its own errors are some of these as well."""
_EXPECTED = "expected a column image (bytes) or img/image (struct with bytes), and a column label (integer)"


def iter_parquet(path: Path, batch_images: int, limit: int | None) -> Iterator[ImageBatch]:
    """Batches of at most ``batch_images`` images, ``limit`` in all; only the rows returned are decoded.

    Raises MissingExtra without pyarrow or Pillow, InvalidInput on a file that is not such a pack.
    """
    pack = _open(path)
    wanted = pack.metadata.num_rows if limit is None else min(limit, pack.metadata.num_rows)
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    done = 0
    for image, label in islice(_rows(path, pack), wanted):
        if images and len(images) >= images_a_batch(batch_images, image.nbytes):
            yield check_batch(path, np.stack(images), np.array(labels, np.int64))
            images, labels = [], []
        images.append(image)
        labels.append(label)
        done += 1
    if done < wanted:
        raise invalid(path, f"found {done} rows, expected {wanted - done} more", "the file may be truncated")
    if images:
        yield check_batch(path, np.stack(images), np.array(labels, np.int64))


def parquet_class_names(path: Path) -> tuple[str, ...] | None:
    """Names in label order from a ``class`` column of texts, None without one or where a label has no name."""
    pack = _open(path)
    _, label_column = _columns(path, pack)
    if pack.schema_arrow.names.count(_CLASS_COLUMN) != 1 or not _is_text(pack.schema_arrow):
        return None
    names: dict[int, str] = {}
    # As a dictionary each name is in memory once, however many rows have it.
    pack = _open(path, [_CLASS_COLUMN])
    for batch in _record_batches(path, pack, 1 << 16, [label_column, _CLASS_COLUMN]):
        labels, classes = batch.column(label_column), batch.column(_CLASS_COLUMN)
        if labels.null_count or classes.null_count:
            return None
        pairs = np.unique(np.stack([labels.to_numpy(), classes.indices.to_numpy()]), axis=1)
        for label, code in pairs.T.tolist():
            names.setdefault(label, classes.dictionary[code].as_py())
    return tuple(names[i] for i in range(len(names))) if set(names) == set(range(len(names))) else None


def _is_text(schema: pa.Schema) -> bool:
    import pyarrow as pa

    kind = schema.field(_CLASS_COLUMN).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _open(path: Path, as_dictionary: Sequence[str] = ()) -> pq.ParquetFile:
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtra("data", "reading Parquet files") from None
    try:
        return pq.ParquetFile(path, read_dictionary=list(as_dictionary))
    except _READ_ERRORS as error:
        raise invalid(
            path, f"found no readable Parquet file ({_first_line(error)})", "download it again"
        ) from None


def _columns(path: Path, pack: pq.ParquetFile) -> tuple[str, str]:
    """Names of the image column (``img.bytes`` inside a struct) and of the label column."""
    import pyarrow as pa

    schema = pack.schema_arrow
    names = schema.names
    label = next(
        (n for n in _LABEL_COLUMNS if names.count(n) == 1 and pa.types.is_integer(schema.field(n).type)),
        None,
    )
    for name in (n for n in _IMAGE_COLUMNS if names.count(n) == 1):
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
    try:
        yield from pack.iter_batches(batch_size=rows, columns=columns)
    except _READ_ERRORS as error:
        raise invalid(path, f"found damaged data ({_first_line(error)})", "download it again") from None


def _rows(path: Path, pack: pq.ParquetFile) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Image and label of every row, all images of the size of the first."""
    image_column, label_column = _columns(path, pack)
    row, shape = 0, None
    for batch in _record_batches(path, pack, _ROWS_AT_A_TIME, [image_column, label_column]):
        column: Any = batch.column(image_column.partition(".")[0])
        encoded = column.field("bytes") if "." in image_column else column
        for cell, label in zip(encoded, batch.column(label_column).to_pylist(), strict=True):
            key = f"{image_column}[{row}]"
            if label is None or label >= 1 << 63:
                raise invalid(
                    path,
                    f"found a missing label, or one of more than 64 bits, in row {row}",
                    key=label_column,
                )
            if not cell.is_valid:
                raise invalid(path, "found no image", key=key)
            image = decode_rgb(cell.as_py(), path, key)
            shape = shape or image.shape
            if image.shape != shape:
                message = f"found {image.shape[:2]} px, expected {shape[:2]} px as the images before"
                raise invalid(path, message, "all images of a set must have one size", key)
            yield image, label
            row += 1


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
