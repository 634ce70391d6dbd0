"""Pages as a browser shows them: Debian's Chromium, headless, with nothing but the page itself to load."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

QUIET = (
    "--headless",
    "--no-sandbox",  # as root there is no other way
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=10000",  # ms of the page's own time
)
"""Chromium without its own calls to the outside."""

needs_browser = pytest.mark.skipif(
    shutil.which("chromium") is None and "CI" not in os.environ, reason="Chromium is not installed"
)


@dataclass(frozen=True)
class Shown:
    """A page after its scripts ran."""

    dom: str
    complaints: list[str]
    """Whatever was written to the console: errors of scripts, and what scripts say; our pages say nothing."""

    @property
    def figures(self) -> int:
        """Plotly figures that were drawn."""
        return len(re.findall(r'class="[^"]*plot-container plotly', self.dom))


def show(page: Path | str, profile: Path) -> Shown:
    """Open a file or an address."""
    address = page if isinstance(page, str) else page.resolve().as_uri()
    ran = subprocess.run(
        ["chromium", *QUIET, f"--user-data-dir={profile}", "--dump-dom", address],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    complaints = [line for line in ran.stderr.splitlines() if ":CONSOLE:" in line]
    return Shown(ran.stdout, complaints)
