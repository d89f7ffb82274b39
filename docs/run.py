"""Runs what the pages show: ``python docs/run.py`` puts the output of every command into its page.

Of each page, in order and in one folder:

- ```` ```bash ````: lines that start with ``archsim`` are run; ``> FILE`` takes their output. Anything else is not.
- ```` ```python ````: is executed; all blocks of a page share their names. With ``# needs PACKAGE`` as its first line
  only where the package is installed.
- ```` ```text ```` directly below either: what the block, or the last of its commands, prints on stdout.
- ```` ```yaml ````: is written to a file where its first line is ``# NAME.yaml``.
- ```` ```console ````: lines that start with ``$ archsim`` need data or packages that may be absent; command, options
  and values are checked, nothing is run.

A test runs all pages and asserts that they stay as they are.

``python docs/run.py PAGE...`` measures instead: on these pages it runs the commands of ```` ```console ```` blocks too,
which may take minutes, puts what they print below them, and takes the pictures that the page shows from their output.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner

from archsim.cli.main import cli

ROOT = Path(__file__).resolve().parent.parent
_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)
_PICTURE = re.compile(r"!\[[^\]]*\]\((?P<path>[^)#:]+)\)")
_FILE_NAME = re.compile(r"# (?P<name>[\w.-]+\.yaml)\n")
_NEEDS = re.compile(r"# needs (?P<package>\w+)\n")


class PageFailed(Exception):
    """A page shows a command that does not work."""


def pages() -> Iterator[Path]:
    """All pages for users and contributors."""
    yield from (ROOT / "README.md", ROOT / "CONTRIBUTING.md")
    yield from sorted(
        [*ROOT.glob("workloads/*.md"), *ROOT.glob("energy_tables/*.md"), *ROOT.glob("docs/**/*.md")]
    )


def run_page(text: str, folder: Path) -> str:
    """The page with outputs as they are now, its commands having been run in ``folder``.

    Raises PageFailed where a command fails or does not exist.
    """
    names: dict[str, Any] = {}
    printed: str | None = None

    def run_block(found: re.Match[str]) -> str:
        nonlocal printed
        language, body = found["language"], found["body"]
        if language == "text" and printed is not None:
            body, printed = printed, None
            return f"```text\n{body}```"
        printed = _run_commands(body) if language == "bash" else None
        if language == "python":
            printed = _run_python(body, names)
        elif language == "console":
            for line in _commands(body, "$ archsim "):
                check_command(line)
        elif name := _FILE_NAME.match(body):
            Path(name["name"]).write_text(body, encoding="utf-8")
        return found[0]

    with contextlib.chdir(folder):
        return _BLOCK.sub(run_block, text)


def measure_page(text: str, folder: Path) -> str:
    """The page with what the commands of its console blocks print, run in ``folder``.

    Lines that start with ``$ archsim`` stay, with the lines that they continue on; all else in these blocks is output.
    Raises PageFailed where a command fails.
    """

    def measure_block(found: re.Match[str]) -> str:
        language, body = found["language"], found["body"]
        if language == "yaml" and (name := _FILE_NAME.match(body)):
            Path(name["name"]).write_text(body, encoding="utf-8")
        if language != "console":
            return found[0]
        lines = []
        for shown in re.findall(r"^\$ archsim (?:.*\\\n)*.*\n", body, re.MULTILINE):
            (line,) = _commands(shown, "$ archsim ")
            printed = _run_commands(f"archsim {line}\n") or ""
            lines += [shown, printed.rstrip("\n") + "\n" if printed.strip() else ""]
        return f"```console\n{''.join(lines)}```"

    with contextlib.chdir(folder):
        return _BLOCK.sub(measure_block, text)


def take_pictures(page: Path, folder: Path) -> None:
    """Copy the pictures that a page shows and its commands have written."""
    for found in _PICTURE.finditer(page.read_text(encoding="utf-8")):
        if (folder / found["path"]).is_file():
            (page.parent / found["path"]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / found["path"], page.parent / found["path"])


def _run_python(body: str, names: dict[str, Any]) -> str | None:
    """What a block prints; None when it prints nothing, or needs a package that is absent."""
    if (needs := _NEEDS.match(body)) and importlib.util.find_spec(needs["package"]) is None:
        return None
    with contextlib.redirect_stdout(io.StringIO()) as stream:
        try:
            exec(compile(body, "<page>", "exec"), names)  # our own pages
        except Exception as error:
            raise PageFailed(f"{type(error).__name__}: {error}\n{body}") from error
    return stream.getvalue() or None


def _run_commands(body: str) -> str | None:
    """stdout of the last command; None when there is none."""
    printed = None
    for line in _commands(body, "archsim "):
        words, _, target = line.partition(" > ")
        result = CliRunner().invoke(cli, shlex.split(words, comments=True))
        if result.exit_code != 0:
            raise PageFailed(
                f"archsim {line}: exit code {result.exit_code}\n{result.output}"
            ) from result.exception
        printed = result.stdout
        if target:
            Path(target.strip()).write_text(printed, encoding="utf-8")
    return printed


def _commands(body: str, start: str) -> list[str]:
    """What follows ``start`` in the lines that begin with it; a backslash continues a line."""
    lines = body.replace("\\\n", " ").splitlines()
    return [line.removeprefix(start) for line in lines if line.startswith(start)]


def check_command(line: str) -> None:
    """Parse a command without running it. Raises PageFailed where its name, an option or a value is wrong."""
    name, *arguments = shlex.split(line, comments=True)
    try:
        context = cli.make_context("archsim", [name, *arguments])
        _, command, rest = cli.resolve_command(context, [name, *arguments])
        assert command is not None
        command.make_context(name, rest, parent=context)
    except click.ClickException as error:
        raise PageFailed(f"archsim {line}: {error.format_message()}") from None


def main() -> int:
    """Rewrite the pages whose outputs have changed; returns how many pages show a command that does not work."""
    failed = 0
    measured = [Path(name).resolve() for name in sys.argv[1:]]
    for page in measured or pages():
        text = page.read_text(encoding="utf-8")
        try:
            with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
                new = (measure_page if measured else run_page)(text, Path(folder))
                take_pictures(page, Path(folder))
        except PageFailed as error:
            failed += 1
            sys.stderr.write(f"{page.relative_to(ROOT)}: {error}\n")
            continue
        if new != text:
            page.write_text(new, encoding="utf-8")
            sys.stdout.write(f"wrote {page.relative_to(ROOT)}\n")
    return failed


if __name__ == "__main__":
    sys.exit(main())
