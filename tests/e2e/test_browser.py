"""The page in a real browser: typed into, waited for, looked at."""

import io
import os
import shutil
from collections.abc import AsyncIterator

import pytest
from PIL import Image
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.e2e.test_program import BLUE, GREEN, LIGHT_BLUE, RED, near
from tests.support.programs import Program

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
PATIENCE = 60_000  # milliseconds

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM and not os.environ.get("REQUIRE_BROWSER"), reason="Chromium is not installed"),
]
pytest.importorskip("torch", reason="the built-in picture model needs the render extra")


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A browser without a window."""
    assert CHROMIUM, "Chromium is required here"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        await browser.close()


async def opened(browser: Browser, address: str) -> Page:
    """The page in a window of its own, which must not run into any error."""
    page = await (await browser.new_context()).new_page()
    page.set_default_timeout(PATIENCE)
    page.on("pageerror", lambda error: pytest.fail(f"the page broke: {error}"))
    await page.goto(address)
    return page


async def say(page: Page, text: str) -> None:
    """Type into the composer, and send."""
    await page.get_by_test_id("composer").fill(text)
    await page.get_by_test_id("composer").press("Enter")


async def shown(page: Page, number: int) -> Image.Image:
    """The picture with this number as the browser paints it, at 256 x 256."""
    card = page.locator(f'[data-testid="picture"][data-number="{number}"][data-state="rendered"]').first
    await expect(card).to_be_visible(timeout=PATIENCE)
    image = card.locator("img[alt]:not([alt=''])").first
    await image.evaluate("image => image.decode()")
    await page.wait_for_function("image => getComputedStyle(image).opacity === '1'", arg=await image.element_handle())
    file = await image.screenshot(animations="disabled")
    return Image.open(io.BytesIO(file)).convert("RGB").resize((256, 256))


async def test_draw_reply_and_vary(program: Program, browser: Browser) -> None:
    """Somebody types, waits for two pictures, replies to one, presses Vary; a second window sees it all."""
    page = await opened(browser, program.url)
    await say(page, "draw a red circle on a light blue background, and two green stars")
    circle, stars = await shown(page, 1), await shown(page, 2)
    assert near(circle, (128, 128), RED) and near(circle, (20, 60), LIGHT_BLUE)
    assert near(stars, (69, 128), GREEN)

    other = await opened(browser, page.url)
    assert near(await shown(other, 1), (128, 128), RED)
    await other.get_by_test_id("name").fill("Bob")
    await other.get_by_test_id("name").press("Tab")

    await page.locator('[data-testid="picture"][data-number="1"]').get_by_test_id("reply").click()
    await expect(page.get_by_test_id("about-chip")).to_contain_text("#1")
    await say(page, "make it blue")
    blue = await shown(page, 3)
    assert near(blue, (128, 128), BLUE) and near(blue, (20, 60), LIGHT_BLUE)
    assert near(await shown(other, 3), (128, 128), BLUE)

    await other.locator('[data-testid="picture"][data-number="3"]').get_by_test_id("vary").click()
    assert near(await shown(page, 4), (128, 128), BLUE)
    await expect(page.get_by_text("Bob").first).to_be_visible()


async def test_upscale_draws_the_same_twice_as_large(program: Program, browser: Browser) -> None:
    """The file that comes has twice the pixels each way; the facts below it say what it is and how it was made."""
    page = await opened(browser, program.url)
    await say(page, "draw a red circle on a light blue background")
    await shown(page, 1)
    await page.locator('[data-testid="picture"][data-number="1"]').get_by_test_id("upscale").click()
    larger = await shown(page, 2)
    assert near(larger, (128, 128), RED) and near(larger, (20, 60), LIGHT_BLUE)
    sides = await page.locator(".card .picture").evaluate_all("all => all.map((one) => one.naturalWidth)")
    assert sides[1] == 2 * sides[0] > 0
    card = page.locator('[data-testid="picture"][data-number="2"]')
    right = "each => each.getBoundingClientRect().right"
    actions = card.locator(".actions")
    assert await actions.locator(".download").evaluate(right) <= await actions.evaluate(right)  # none is cut off
    assert await page.evaluate("document.documentElement.scrollHeight <= innerHeight")  # the conversation scrolls alone
    await card.locator("summary").click()
    await expect(card.locator(".facts")).to_contain_text("upscale of #1")
    await expect(card.locator(".facts")).to_contain_text("Method")


async def test_stop_then_retry(program: Program, browser: Browser) -> None:
    """The Stop button ends a reply under way, and Retry completes it."""
    page = await opened(browser, program.url)
    await say(page, "draw four pictures of a cat")
    await page.get_by_test_id("stop").click()
    await expect(page.get_by_text("Stopped by").first).to_be_visible()
    await page.get_by_test_id("retry").click()
    assert await shown(page, 4)
    await expect(page.locator('[data-kind="bot"][data-final="true"]')).to_have_count(1)


async def test_what_people_and_models_write_is_never_markup(program: Program, browser: Browser) -> None:
    """HTML, tags and links typed by a person stay words."""
    page = await opened(browser, program.url)
    nasty = "<img src=x onerror=document.title='broken'> <image>a cat</image> [x](javascript:alert(1)) ![y](http://y/z)"
    await say(page, nasty)
    await expect(page.locator('[data-kind="bot"][data-final="true"]')).to_have_count(1, timeout=PATIENCE)
    message = page.locator('[data-kind="person"]').first
    await expect(message).to_contain_text("<image>a cat</image>")
    assert await message.locator("img[src='x'], img[src^='http'], a[href^='javascript']").count() == 0
    assert await page.title() != "broken"


async def test_the_line_is_watched(program: Program, browser: Browser) -> None:
    """The page of the line says that nobody waits, shows pictures under way as they come, and is empty again."""
    page = await opened(browser, program.url)
    await page.get_by_test_id("queue").click()
    await expect(page.get_by_test_id("queue-empty")).to_contain_text("The queue is empty")
    await expect(page.get_by_test_id("worker")).to_contain_text("auto")

    other = await opened(browser, program.url)
    await say(other, "draw four pictures of a cat")
    await expect(page.get_by_test_id("job").first).to_contain_text("Image #", timeout=PATIENCE)
    await expect(page.get_by_test_id("summary")).to_contain_text("image")
    assert await shown(other, 4)
    await expect(page.get_by_test_id("queue-empty")).to_be_visible()
    await page.get_by_test_id("back").click()
    await expect(page.get_by_test_id("composer")).to_be_visible()
