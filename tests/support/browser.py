# SPDX-License-Identifier: Apache-2.0
"""The distribution's Chromium, without a window, and a record of everything that it asks the network for."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.common.exceptions import NoAlertPresentException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    # It would speak to its maker at every start.
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
)
OTHER_SITE = "trace-view.example"
"""A host name that the browser takes for another site, on the loopback."""


class Browser:
    """One browser with an empty profile."""

    def __init__(self, driver: Chrome, downloads: Path) -> None:
        self.driver = driver
        self.downloads = downloads

    def open(self, url: str) -> None:
        self.driver.get(url)

    def evaluate(self, expression: str) -> object:
        """The value of a JavaScript expression, run by the test and not by the page."""
        return self.driver.execute_script(f"return {expression}")

    def has_dialog(self) -> bool:
        try:
            self.driver.switch_to.alert.dismiss()
        except NoAlertPresentException:
            return False
        return True

    def requested(self) -> list[str]:
        """Addresses of all requests since the last call, whoever caused them."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[str]:
        """What its console says since the last call, refused scripts, styles and frames among it."""
        return [str(entry["message"]) for entry in self.driver.get_log("browser")]

    def emulate(self, *, scheme: str = "light", width: int = 1280, height: int = 900) -> None:
        """A colour scheme and a size of the screen."""
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


@contextmanager
def running_browser(directory: Path) -> Iterator[Browser]:
    """A browser that ends with the block."""
    downloads = directory / "downloads"
    downloads.mkdir()
    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (
        *_FLAGS,
        f"--user-data-dir={directory / 'profile'}",
        f"--host-resolver-rules=MAP {OTHER_SITE} 127.0.0.1",
    ):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    options.unhandled_prompt_behavior = "ignore"
    service = Service("/usr/bin/chromedriver", env={**os.environ, "HOME": str(directory)})
    driver = Chrome(options=options, service=service)
    try:
        driver.set_page_load_timeout(60)
        yield Browser(driver, downloads)
    finally:
        driver.quit()
