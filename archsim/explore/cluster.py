"""Workers of a Dask cluster. The extra ``cluster`` is imported when a scheduler is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from archsim.errors import InvalidInput, MissingExtra, Problem
from archsim.explore.pool import ATTEMPTS
from archsim.explore.task import FAILED, Outcome
from archsim.explore.work import Job, answer_of, perform

_CONNECT_S = 20
_WINDOW_A_THREAD = 4
_WINDOW_LEAST = 16
"""Workers may join while a sweep runs."""


class DaskCluster:
    """All workers that a Dask scheduler has, now or later. Dask runs the job of a worker that dies elsewhere."""

    def __init__(self, client: Any) -> None:
        self.window = _WINDOW_LEAST + _WINDOW_A_THREAD * sum(client.nthreads().values())
        self._executor = client.get_executor(pure=False, retries=ATTEMPTS - 1)

    @classmethod
    @contextmanager
    def open(cls, address: str) -> Iterator[DaskCluster]:
        """A connection to a scheduler (``tcp://host:8786``).

        Raises MissingExtra without dask.distributed, InvalidInput where no scheduler answers.
        """
        try:
            from distributed import Client
        except ImportError:
            raise MissingExtra("cluster", "--scheduler") from None
        try:
            client = Client(address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, ValueError, TimeoutError, TypeError, RuntimeError) as error:
            # The last two: Dask without certificates for tls://, or told to refuse what is not encrypted.
            message = f"found no Dask scheduler ({error or type(error).__name__})"
            hint = "start one with: dask scheduler; tls:// needs certificates (docs/howto/cluster.md)"
            raise InvalidInput([Problem(f"--scheduler {address}", "", message, hint)]) from None
        try:
            yield cls(client)
        finally:
            client.close()

    def submit(self, job: Job) -> Future[dict[str, Any]]:
        """Perform a job somewhere; a job at which several workers die fails."""
        answer: Future[dict[str, Any]] = Future()
        remote = self._executor.submit(perform, job)
        remote.add_done_callback(lambda done: _hand_over(done, answer))
        return answer


def _hand_over(remote: Any, answer: Future[dict[str, Any]]) -> None:
    from distributed.scheduler import KilledWorker

    try:
        answer.set_result(remote.result())
    except KilledWorker as error:
        message = f"workers died at it: killed, or out of memory ({str(error).splitlines()[0]})"
        answer.set_result(answer_of(Outcome(FAILED, message, {}, lasting=False)))
    except BaseException as error:  # the connection: the sweep ends, and can be resumed
        message = f"lost the Dask cluster ({type(error).__name__}: {error})"
        answer.set_exception(InvalidInput([Problem("--scheduler", "", message, "go on with --resume")]))
