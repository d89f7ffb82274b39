"""The pages as a site: built by Sphinx without a warning, all of them in the side bar, all links whole."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

from tests.page_scripts import ROOT, script

for needed in ("sphinx", "myst_parser", "furo"):
    pytest.importorskip(needed, reason="pip install 'archsim[docs]'")

PAGES = [path.relative_to(ROOT).with_suffix(".html") for path in script("run").pages()]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the site."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-c", "docs"]
    done = subprocess.run(
        [*command, "-d", str(out / ".doctrees"), ".", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    if done.returncode:
        pytest.fail(done.stderr, pytrace=False)
    return out


def test_every_page_is_built_and_in_the_side_bar(site: Path) -> None:
    bar = (site / "docs" / "index.html").read_text(encoding="utf-8").partition('class="sidebar-tree"')[2]
    linked = {
        (site / "docs" / unquote(target)).resolve()
        for target in re.findall(r'<a class="reference internal" href="([^"#]+)"', bar.partition("</div>")[0])
    }
    assert len(PAGES) > 40
    assert {str(page) for page in PAGES if site / page not in linked} == {"docs/index.html"}


def test_local_links_lead_to_a_file_and_an_anchor(site: Path) -> None:
    texts = {page: (site / page).read_text(encoding="utf-8") for page in (*PAGES, Path("index.html"))}
    anchors = {page: set(re.findall(r'\bid="([^"]+)"', text)) for page, text in texts.items()}
    broken = []
    for page, text in texts.items():
        for target in re.findall(r'<a [^>]*href="(?!https?:|mailto:)([^"]+)"', text):
            path, fragment = urldefrag(target)
            found = (site / page.parent / unquote(path)).resolve() if path else site / page
            known = anchors.get(found.relative_to(site), {fragment})
            if not found.exists() or (fragment and unquote(fragment) not in known):
                broken.append(f"{page}: {target}")
    assert broken == []


def test_the_root_of_the_site_leads_to_the_documentation(site: Path) -> None:
    assert 'content="0; url=docs/index.html"' in (site / "index.html").read_text(encoding="utf-8")


def test_side_bar_has_the_sections_of_the_index() -> None:
    index = (
        "# Title\n[Read me](../README.md)\n## Learn\n- [A](tutorial/a.md) and [A](tutorial/a.md), "
        "[B](b.md#part), [no page](x.py)\n## Words\nnone\n"
    )
    assert script("conf").side_bar(index) == (
        "```{toctree}\n:hidden:\n\n/README\n```\n\n"
        "```{toctree}\n:hidden:\n:caption: Learn\n\n/docs/tutorial/a\n```"
    )
