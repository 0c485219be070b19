"""A real browser for tests of the page: one browser and one running program for each test module."""

import io
import os
import shutil
from collections.abc import AsyncIterator
from itertools import count

import pytest
import pytest_asyncio
from PIL import Image
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

from tests.support.programs import Program

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
TIMEOUT = 60_000  # milliseconds

MARKS = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not CHROMIUM and not os.environ.get("REQUIRE_BROWSER"), reason="Chromium is not installed"),
]


class Windows:
    """The windows of one test, each with the storage and the user of its own."""

    def __init__(self, browser: Browser, program: Program) -> None:
        self._browser = browser
        self._program = program
        self.errors: list[str] = []

    async def open(self, address: str, locale: str = "en-US") -> Page:
        """Open an address in a new window, as a user with an unused name and a browser in this language."""
        page = await self._new_page(locale)
        await page.goto(address)
        return page

    async def new_conversation(self) -> Page:
        """Open a new conversation in a new window."""
        page = await self._new_page()
        response = await page.request.post(f"{self._program.url}/api/threads", data={})
        await page.goto(f"{self._program.url}/#t={(await response.json())['id']}")
        return page

    async def _new_page(self, locale: str = "en-US") -> Page:
        context = await self._browser.new_context(locale=locale)
        await context.add_init_script(f"localStorage.name ??= 'Guest {next(_names)}'")
        page = await context.new_page()
        page.set_default_timeout(TIMEOUT)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        return page

    async def close(self) -> None:
        """Close all windows."""
        for context in self._browser.contexts:
            await context.close()


_names = count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def program(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Program]:
    """A running program that the tests of a module share."""
    program = Program(tmp_path_factory.mktemp("program") / "data")
    await program.start()
    yield program
    await program.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A browser without a window that the tests of a module share."""
    assert CHROMIUM, "Chromium is required here"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def windows(browser: Browser, program: Program) -> AsyncIterator[Windows]:
    """The windows of a test; no script in them may fail."""
    windows = Windows(browser, program)
    yield windows
    await windows.close()
    assert not windows.errors, windows.errors


async def send(page: Page, text: str) -> None:
    """Type a message and send it."""
    await page.get_by_test_id("composer").fill(text)
    await page.get_by_test_id("composer").press("Enter")


def card(page: Page, number: int) -> Locator:
    """Return the card of an image in the conversation."""
    return page.locator(f'[data-testid="picture"][data-number="{number}"]')


async def rendered_image(page: Page, number: int) -> Image.Image:
    """Wait for the image with this number, and return it as the browser shows it, at 256 x 256 pixels."""
    rendered = page.locator(f'[data-testid="picture"][data-number="{number}"][data-state="rendered"]').first
    await expect(rendered).to_be_visible(timeout=TIMEOUT)
    image = rendered.locator("img[alt]:not([alt=''])").first
    await image.evaluate("image => image.decode()")
    await page.wait_for_function("image => getComputedStyle(image).opacity === '1'", arg=await image.element_handle())
    file = await image.screenshot(animations="disabled")
    return Image.open(io.BytesIO(file)).convert("RGB").resize((256, 256))
