"""Official data sets from their official addresses, checked and unpacked to where the readers find them.

Nothing half done is ever in place: archive and files are made in a hidden folder beside it, and the complete folder is
moved. A download that was cut off starts again; an archive that was complete is not downloaded twice.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from archsim.datasets.image_set import invalid
from archsim.datasets.unpack import unpack
from archsim.errors import InvalidInput, MissingExtra
from archsim.progress import Progress

_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 60


@dataclass(frozen=True)
class DataSet:
    """url: of the archive. md5: its checksum, hex. folder: the one folder in it, which readers take as ``--data``."""

    url: str
    md5: str
    folder: str


DATA_SETS: dict[str, DataSet] = {
    # A. Krizhevsky, https://www.cs.toronto.edu/~kriz/cifar.html, where the checksum is printed.
    "cifar10": DataSet(
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "c58f30108f718f92721af3b95e74349a",
        "cifar-10-batches-py",
    ),
    # Stanford CS231n, which made the set and hosts it.
    "tinyimagenet": DataSet(
        "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        "90528d7ca1a48142e341f4ef8d21d0de",
        "tiny-imagenet-200",
    ),
}
"""By the name that ``archsim data fetch`` takes."""


def fetch(name: str, to: Path, progress: Progress = lambda _done, _total: None) -> Path:
    """The folder ``to/FOLDER`` of a data set of :data:`DATA_SETS`, downloaded unless it is there.

    Raises MissingExtra without pooch; InvalidInput when the server cannot be reached, what comes is not the official
    file, or ``to`` cannot be written to.
    """
    data_set = DATA_SETS[name]
    target = to / data_set.folder
    if target.is_dir():
        return target
    staging = to / f".fetch-{name}"
    try:
        archive = _download(data_set, staging, progress)
        unpacked = staging / "unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        unpack(archive, unpacked, data_set.folder)
        (unpacked / data_set.folder).rename(target)
    except OSError as error:
        raise invalid(
            to, f"cannot be written to ({error.strerror or error})", "choose another --to"
        ) from None
    shutil.rmtree(staging)
    return target


def _download(data_set: DataSet, staging: Path, progress: Progress) -> Path:
    """The archive, whose checksum is right."""
    try:
        import pooch
        from requests.exceptions import RequestException
    except ImportError:
        raise MissingExtra("data", "fetching data sets") from None
    name = data_set.url.rpartition("/")[2]
    staging.mkdir(parents=True, exist_ok=True)
    for left_over in staging.iterdir():  # of a run that was killed
        if left_over.is_file() and left_over.name != name:
            left_over.unlink()
    pooch.get_logger().setLevel("ERROR")  # it writes to stderr
    downloader = pooch.HTTPDownloader(
        progressbar=_Reporter(progress), chunk_size=_CHUNK_BYTES, timeout=_TIMEOUT_S
    )
    try:
        path = pooch.retrieve(data_set.url, f"md5:{data_set.md5}", name, staging, downloader=downloader)
    except RequestException as error:
        raise _unreachable(data_set, error) from None
    except ValueError:
        message = f"found another file than the official one, whose MD5 is {data_set.md5}"
        hint = "try again; if it stays so, the server or a proxy on the way has changed the file"
        raise invalid(data_set.url, message, hint) from None
    return Path(path)


def _unreachable(data_set: DataSet, error: Exception) -> InvalidInput:
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    hint = f"look at the connection, or bring the file from elsewhere and unpack {data_set.folder} yourself"
    return invalid(data_set.url, f"cannot be downloaded ({reason})", hint)


class _Reporter:
    """A progress bar as pooch calls it: ``total`` is set, then ``update`` called with each further amount."""

    def __init__(self, progress: Progress) -> None:
        self.total = 0
        self._done = 0
        self._progress = progress

    def update(self, amount_bytes: int) -> None:
        """So many bytes more."""
        self._done += amount_bytes
        self._progress(min(self._done, self.total) if self.total else self._done, self.total)

    def reset(self) -> None:
        """Start from nothing."""
        self._done = 0

    def close(self) -> None:
        """The download is over."""
