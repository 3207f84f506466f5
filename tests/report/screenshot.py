"""The README's picture of a page: ``python -m tests.report.screenshot`` takes it anew, of the packed samples.

Needs selenium, and Chromium with ChromeDriver (Debian: chromium, chromium-driver).
"""

from __future__ import annotations

import base64
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

import kie_notes as kn

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

DATA = Path(__file__).parents[2] / "data"
PICTURE = DATA / "report.png"

#: One process and no connection of the browser's own; sound without a click.
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--autoplay-policy=no-user-gesture-required",
    "--window-size=1200,900",
]


def missing() -> str | None:
    """Say what a browser needs that is not there."""
    if not (_chromium() and shutil.which("chromedriver")):
        return "Chromium and ChromeDriver are not installed (Debian: chromium, chromium-driver)"
    return None


def browser(profile: Path) -> Chrome:
    """Start Chromium; who asks ends it with ``quit``."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(_chromium())
    for flag in [*FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    started.set_script_timeout(20)
    return started


def take(
    page: Path, picture: Path, profile: Path, *, width: int = 1200, height: int = 832, scheme: str = "light"
) -> None:
    """Open a page and write what is seen of it as a PNG."""
    driver = browser(profile)
    try:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        prefers = [{"name": "prefers-color-scheme", "value": scheme}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": prefers})
        driver.get(page.as_uri())
        driver.execute_async_script(
            "const drawn = () => requestAnimationFrame(() => requestAnimationFrame(arguments[0]));"
            "const ready = () => { if (!document.body.dataset.started) return setTimeout(ready, 20);"
            " document.getElementById('fit').click(); drawn(); }; ready();"
        )
        shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png", "optimizeForSpeed": False})
        picture.write_bytes(base64.b64decode(shot["data"]))
    finally:
        driver.quit()


def _chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def main(picture: Path = PICTURE) -> None:
    """Make a page of the samples and take its picture."""
    lacking = missing()
    if lacking:
        sys.exit(lacking)
    notes = kn.flatten(kn.read_records(DATA / "samples" / "records")).notes
    styles = dict(pl.read_csv(DATA / "samples" / "manifest.csv").select("task", "style").rows())
    named = notes.with_columns(pl.col("task").cast(pl.String).replace(styles).cast(pl.Categorical))
    names = sorted(styles.values(), key=lambda name: not name.startswith("jazz"))
    with tempfile.TemporaryDirectory() as folder:
        page = kn.write_report(named, Path(folder) / "page.html", tasks=names, title="Nine pieces")
        take(page, picture, Path(folder) / "profile")


if __name__ == "__main__":
    main()
