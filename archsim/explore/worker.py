"""``python -m archsim.explore.worker``: a process that performs jobs for the local pool, one at a time.

A line of JSON comes on stdin, another goes to stdout. The process ends when stdin does, so none outlives its sweep.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys

from archsim.explore.work import perform


def main() -> None:
    """Answer until stdin ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(
        sys.stderr.fileno(), sys.stdout.fileno()
    )  # what anything else prints must not look like an answer
    with contextlib.suppress(BrokenPipeError):  # the sweep was killed
        for line in sys.stdin:
            answers.write(json.dumps(perform(json.loads(line))) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
