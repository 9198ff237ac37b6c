"""What a page is made of, and how it behaves in a browser."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
VOID = {"meta", "link", "img", "br", "path", "use", "rect", "circle"}


class Outline(HTMLParser):
    """Ids, and elements left open or closed in the wrong order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.wrong: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def sections(self) -> list[str]:
        """Ids of the sections that have one."""
        found = [attributes.get("id") for tag, attributes in self.attributes if tag == "section"]
        return [each for each in found if each]


def check_that_it_stands_alone(page: str) -> Outline:
    """The page is well formed, runs nothing and asks nothing of a network; its outline."""
    outline = Outline(page)
    assert (outline.wrong, outline.open) == ([], [])
    assert len(set(outline.ids)) == len(outline.ids)
    for tag, attributes in outline.attributes:
        assert tag != "script"
        assert not [name for name in attributes if name.startswith("on")]
        assert str(attributes.get("src") or "data:").startswith("data:")
        target = str(attributes.get("href") or attributes.get("xlink:href") or "#")
        assert target.startswith(("#", "data:"))
        if target.startswith("#") and len(target) > 1:
            assert target[1:] in outline.ids
        if tag == "svg":
            assert attributes["role"] == "img"
            assert attributes["aria-label"]
    assert "url(http" not in page
    assert "@import" not in page
    return outline


class Shown(NamedTuple):
    """A page in a browser."""

    width_px: int
    """That it has."""
    needed_px: int
    """That it needs: more where something sticks out."""
    figures: int
    spilt: int
    """Tiles whose text does not fit."""
    tallest_row_px: int
    """Of all tables: it is tall where a name is squeezed."""
    errors: str
    """What the browser's console says, empty if nothing."""


def show(page: str, width_px: int, folder: Path) -> Shown:
    """Open a page in Chromium, in a window of this width, with all that can be unfolded unfolded."""
    # In a frame, because a window of Chromium cannot be as narrow as a phone.
    probe = folder / "probe.html"
    script = (
        "const d = document.querySelector('iframe').contentDocument.documentElement;"
        "d.querySelectorAll('details').forEach(e => e.open = true);"
        "const spilt = [...d.querySelectorAll('.tiles dd')].filter(e => e.scrollWidth > e.clientWidth);"
        "const figures = d.querySelectorAll('svg').length;"
        "const rows = [...d.querySelectorAll('tr')].map(e => Math.ceil(e.getBoundingClientRect().height));"
        "document.body.dataset.found = "
        "[d.clientWidth, d.scrollWidth, figures, spilt.length, Math.max(...rows)]"
    )
    probe.write_text(
        f'<body onload="{html.escape(script)}"><iframe width="{width_px}" height="800" style="border:0" '
        f'srcdoc="{html.escape(page)}"></iframe>',
        encoding="utf-8",
    )
    done = subprocess.run(
        [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0",
         "--window-size=1280,900", "--hide-scrollbars", f"--user-data-dir={folder / 'profile'}",
         "--dump-dom", probe.as_uri()],
        capture_output=True, text=True, timeout=120, check=True, env=os.environ | {"HOME": str(folder)},
    )  # fmt: skip
    found = re.search(r'data-found="(\d+),(\d+),(\d+),(\d+),(\d+)"', done.stdout)
    assert found is not None, done.stderr
    errors = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    return Shown(*map(int, found.groups()), errors)  # type: ignore[arg-type]
