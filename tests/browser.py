"""Debian's Chromium without a screen: what a person sees and does on a page."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    NoSuchElementException,
    StaleElementReferenceException,
    TimeoutException,
)
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

_WIDTH, _HEIGHT, _TALLEST = 1280, 720, 1200
_FRAME = 160  # what a window without a screen takes for itself, and some air
_PATIENCE_SECONDS = 60.0

# The first two are what Chromium needs as root and without a graphics card; the others keep it from calling home.
_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--headless=new",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)

# Logos come from the internet; a machine without it shows their grey places, not signs of broken pictures.
_READY = """
document.activeElement.blur();
for (const one of document.querySelectorAll('*')) one.scrollTop = 0;
for (const one of document.images) if (!one.naturalWidth) one.style.visibility = 'hidden';
"""
_BOTTOM = "Math.max(...[...document.querySelectorAll('main *')].map(one => one.getBoundingClientRect().bottom))"

FoundT = TypeVar("FoundT")


class Browser:
    """A window on a site.

    Attributes:
        site: The address of the site.
    """

    def __init__(self, driver: Chrome, pictures: Path) -> None:
        """Show nothing yet.

        Args:
            driver: The window.
            pictures: A folder for screenshots.
        """
        self._driver: Any = driver  # Selenium is typed only in part
        self.site = ""
        self._pictures = pictures

    def open(self, path: str, *expected: str) -> None:
        """Go to a page of the site and wait for words on it."""
        self._driver.set_window_size(_WIDTH, _HEIGHT)
        self._driver.get(self.site + path)
        for words in expected:
            self.wait_for(words)

    def keep_opening(self, path: str, words: str) -> None:
        """Go to a page again and again until words stand on it, which it does not add by itself."""
        self.open(path)
        patience = WebDriverWait(self._driver, 2 * _PATIENCE_SECONDS, poll_frequency=0.5)
        opened = time.monotonic()

        def appeared(_: object) -> bool:
            nonlocal opened
            if time.monotonic() - opened > _PATIENCE_SECONDS / 6:
                self.open(path)
                opened = time.monotonic()
            return words in self.text

        patience.until(appeared, f"{words!r} does not appear")

    @property
    def text(self) -> str:
        """What can be read on the page."""
        return self._driver.find_element(By.TAG_NAME, "body").text

    def wait_for(self, words: str) -> None:
        """Wait until words stand on the page."""
        self._until(lambda: words in self.text, f"{words!r} is not on the page")

    @property
    def source(self) -> str:
        """What the page is made of."""
        return self._driver.page_source

    def texts(self, css: str) -> list[str]:
        """Return what can be read in elements."""
        return [element.text for element in self._driver.find_elements(By.CSS_SELECTOR, css)]

    def pictures(self) -> list[bool]:
        """Return for each picture in the text of the page whether it could be drawn."""
        drawn = "one => one.complete && one.naturalWidth > 100"
        return self._driver.execute_script(f"return [...document.querySelectorAll('main img')].map({drawn})")

    def find(self, xpath: str) -> Any:
        """Return the first element of a path, once it is there."""
        return self._until(lambda: self._driver.find_element(By.XPATH, xpath), f"nothing is at {xpath}")

    def count(self, css: str) -> int:
        """Return how many elements there are."""
        return len(self._driver.find_elements(By.CSS_SELECTOR, css))

    def click(self, xpath: str) -> None:
        """Click on an element."""
        element = self.find(xpath)
        self._driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        self._until(lambda: _clicked(element), f"something lies over {xpath}")

    def control(self, title: str) -> Any:
        """Return the control of a form that has a title."""
        label = self.find(f"//label[text()='{title} (Optional)' or text()='{title}']")
        return self.find(f"//*[@id='{label.get_attribute('for')}']")

    def screenshot(self, name: str, tallest: int = _TALLEST) -> None:
        """Write what can be seen from the top of the page on.

        Args:
            name: Of the file, without its ending.
            tallest: How much at most, in pixels.
        """
        self._driver.execute_script(_READY)
        height = int(self._driver.execute_script(f"return {_BOTTOM}") or _HEIGHT)
        self._driver.set_window_size(_WIDTH, min(max(height + _FRAME, _HEIGHT), tallest))
        self._pictures.mkdir(parents=True, exist_ok=True)
        self._driver.save_screenshot(str(self._pictures / f"{name}.png"))

    def _until(self, found: Callable[[], FoundT], complaint: str) -> FoundT:
        passing = (NoSuchElementException, StaleElementReferenceException)
        try:
            return WebDriverWait(self._driver, _PATIENCE_SECONDS, ignored_exceptions=passing).until(lambda _: found())
        except TimeoutException:
            pytest.fail(f"{complaint}, which reads:\n{self.text}")


def _clicked(element: Any) -> bool:
    """Click, unless something that is about to go lies over it, such as a list that has just been closed."""
    try:
        element.click()
    except ElementClickInterceptedException:
        return False
    return True


@contextmanager
def browser(folder: Path, pictures: Path) -> Generator[Browser]:
    """Open a browser; skips the test where there is none.

    Args:
        folder: For the browser's own files.
        pictures: A folder for screenshots.
    """
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("Chromium is not installed; with root, 'apt-get install chromium chromium-driver' does that")
    options = ChromeOptions()
    options.binary_location = program
    for option in (*_OPTIONS, f"--user-data-dir={folder}"):
        options.add_argument(option)
    window = Chrome(options, Service(driver))
    try:
        yield Browser(window, pictures)
    finally:
        window.quit()
