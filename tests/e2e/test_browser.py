"""The page in a real browser: messages, images, buttons and the queue."""

import re

import pytest
from playwright.async_api import Page, expect

from bot.notices import catalog
from tests.e2e.test_program import BLUE, GREEN, LIGHT_BLUE, RED, near
from tests.support import browser as support
from tests.support.browser import TIMEOUT, Windows, card, rendered_image, send
from tests.support.programs import Program

pytestmark = support.MARKS
program, browser, windows = support.program, support.browser, support.windows  # the fixtures
pytest.importorskip("torch", reason="the built-in image model needs the render extra")


async def test_draw_reply_and_vary(windows: Windows, program: Program) -> None:
    """A user requests two images, replies to one and presses Vary; a second window shows the same."""
    page = await windows.open(program.url)
    await page.get_by_test_id("new-thread").click()
    await send(page, "draw a red circle on a light blue background, and two green stars")
    circle, stars = await rendered_image(page, 1), await rendered_image(page, 2)
    assert near(circle, (128, 128), RED) and near(circle, (20, 60), LIGHT_BLUE)
    assert near(stars, (69, 128), GREEN)

    other = await windows.open(page.url)
    assert near(await rendered_image(other, 1), (128, 128), RED)
    await other.get_by_test_id("name").fill("Bob")
    await other.get_by_test_id("name").press("Tab")

    await card(page, 1).get_by_test_id("reply").click()
    await expect(page.get_by_test_id("about-chip")).to_contain_text("#1")
    await send(page, "make it blue")
    blue = await rendered_image(page, 3)
    assert near(blue, (128, 128), BLUE) and near(blue, (20, 60), LIGHT_BLUE)
    assert near(await rendered_image(other, 3), (128, 128), BLUE)

    await card(other, 3).get_by_test_id("vary").click()
    assert near(await rendered_image(page, 4), (128, 128), BLUE)
    await expect(page.get_by_text("Bob").first).to_be_visible()


async def test_upscale_doubles_width_and_height(windows: Windows) -> None:
    """The new image has the same content at twice the size, and its details name the source and the method."""
    page = await windows.new_conversation()
    await send(page, "draw a red circle on a light blue background")
    await rendered_image(page, 1)
    await card(page, 1).get_by_test_id("upscale").click()
    larger = await rendered_image(page, 2)
    assert near(larger, (128, 128), RED) and near(larger, (20, 60), LIGHT_BLUE)
    sides = await page.locator(".card .picture").evaluate_all("all => all.map((one) => one.naturalWidth)")
    assert sides[1] == 2 * sides[0] > 0
    upscaled = card(page, 2)
    right = "each => each.getBoundingClientRect().right"
    actions = upscaled.locator(".actions")
    assert await actions.locator(".download").evaluate(right) <= await actions.evaluate(right)  # no button is cut off
    assert await page.evaluate("document.documentElement.scrollHeight <= innerHeight")  # only the conversation scrolls
    await upscaled.locator("summary").click()
    await expect(upscaled.locator(".facts")).to_contain_text("upscaled from #1")
    await expect(upscaled.locator(".facts")).to_contain_text("Method")


async def test_stop_then_retry(windows: Windows) -> None:
    """Stop ends a running reply, and Retry completes it."""
    page = await windows.new_conversation()
    await send(page, "draw four pictures of a cat")
    await page.get_by_test_id("stop").click()
    await expect(page.get_by_text("Stopped by").first).to_be_visible()
    await page.get_by_test_id("retry").click()
    assert await rendered_image(page, 4)
    await expect(page.locator('[data-kind="bot"][data-final="true"]')).to_have_count(1)


async def test_text_of_users_and_models_is_never_markup(windows: Windows, program: Program) -> None:
    """HTML, tags and links in a message are shown as text."""
    page = await windows.open(f"{program.url}/#t=unknown")  # the first message opens a conversation
    await expect(page.get_by_role("alert")).to_contain_text("There is no such conversation")
    text = "<img src=x onerror=document.title='broken'> <image>a cat</image> [x](javascript:alert(1)) ![y](http://y/z)"
    await send(page, text)
    await expect(page.locator('[data-kind="bot"][data-final="true"]')).to_have_count(1, timeout=TIMEOUT)
    message = page.locator('[data-kind="person"]').first
    await expect(message).to_contain_text("<image>a cat</image>")
    assert await message.locator("img[src='x'], img[src^='http'], a[href^='javascript']").count() == 0
    assert await page.title() != "broken"


async def test_page_is_in_the_language_of_the_browser(windows: Windows, program: Program) -> None:
    """A German browser shows German texts and numbers only; after a change of the setting, the page is in French."""
    page = await windows.open(program.url, locale="de-DE")
    await expect(page.get_by_test_id("new-thread")).to_have_text("Neues Gespräch")
    await expect(page.locator("html")).to_have_attribute("lang", "de")
    await expect(page.get_by_label("Nachricht", exact=True)).to_have_attribute("placeholder", re.compile("^Bild"))
    await page.get_by_test_id("new-thread").click()
    await send(page, "/imagine a red circle")
    await rendered_image(page, 1)
    await expect(card(page, 1).get_by_test_id("vary")).to_have_text("Variieren")
    await expect(page.locator("time").first).to_have_text("gerade eben")
    await page.get_by_test_id("settings").click()
    await expect(page.get_by_test_id("field").first).to_contain_text("Standardwert")
    assert await english_texts(page) == set()

    await page.get_by_label("Sprache", exact=True).select_option("fr")
    await expect(page.get_by_test_id("new-thread")).to_have_text("Nouvelle conversation")
    await expect(page.locator("html")).to_have_attribute("lang", "fr")
    await page.goto(f"{program.url}/queue")
    await expect(page.get_by_test_id("queue-empty")).to_contain_text("La file d'attente est vide")
    assert await english_texts(page) == set()


async def english_texts(page: Page) -> set[str]:
    """Return the texts and labels of the page that only the English catalog has."""
    shown = await page.evaluate("""() => [document, ...[...document.querySelectorAll("template")].map((e) => e.content)]
        .flatMap((root) => [...root.querySelectorAll("*")])
        .flatMap((e) => [...[...e.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data),
                         e.title, e.ariaLabel, e.placeholder, e.alt])
        .filter(Boolean).map((text) => text.trim())""")
    translated = {text for language in ("de", "fr") for text in catalog(language).values() if isinstance(text, str)}
    return set(shown) & {text for text in catalog("en").values() if isinstance(text, str)} - translated


async def test_queue_page_is_live(windows: Windows) -> None:
    """The queue page shows an empty queue, then the jobs while they run, then an empty queue again."""
    page = await windows.new_conversation()
    await page.get_by_test_id("queue").click()
    await expect(page.get_by_test_id("queue-empty")).to_contain_text("The queue is empty")
    await expect(page.get_by_test_id("worker")).to_contain_text("auto")

    other = await windows.new_conversation()
    await send(other, "draw four pictures of a cat")
    await expect(page.get_by_test_id("job").first).to_contain_text("Image #", timeout=TIMEOUT)
    await expect(page.get_by_test_id("summary")).to_contain_text("image")
    assert await rendered_image(other, 4)
    await expect(page.get_by_test_id("queue-empty")).to_be_visible()
    await page.get_by_test_id("back").click()
    await expect(page.get_by_test_id("composer")).to_be_visible()
