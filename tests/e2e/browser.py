"""A real browser, headless, for the pages of the proxy: the Chromium on PATH. Without one its tests skip."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 15_000
"""Milliseconds that a page is waited for; bounds a failing test, no passing one."""


@contextmanager
def browser() -> Iterator[Browser]:
    """Skips the test where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser on PATH: looked for {', '.join(NAMES)}")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield running
        finally:
            running.close()


def picture(page: Page, name: str, otherwise: Path) -> Path:
    """What is seen of `page`, in the folder that ROTATOR_ARTIFACTS names, else in `otherwise`."""
    folder = Path(os.environ.get("ROTATOR_ARTIFACTS") or otherwise)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.png"
    page.screenshot(path=path)
    return path
