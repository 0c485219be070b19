"""The toolbar of a conversation in a real browser: settings, the tree, a ZIP, forgetting, typed commands."""

import os
import re
import zipfile
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

from tests.e2e.test_browser import CHROMIUM, PATIENCE, QUIET, opened, say, shown
from tests.support.programs import Program

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


def card(page: Page, number: int) -> Locator:
    """The card of a picture in the conversation."""
    return page.locator(f'[data-testid="picture"][data-number="{number}"]')


def field(page: Page, title: str) -> Locator:
    """The row of a setting."""
    return page.get_by_test_id("field").filter(has=page.get_by_label(title, exact=True))


async def more(page: Page, item: str) -> None:
    """Choose from the menu."""
    await page.get_by_test_id("more").click()
    await page.get_by_test_id(item).click()


async def test_settings_are_changed_and_hold(program: Program, browser: Browser) -> None:
    """One by one, each with where it comes from; a refusal stands below its field, and what was chosen is drawn."""
    page = await opened(browser, program.url)
    await page.get_by_test_id("settings").click()
    count = field(page, "Pictures of a wish")
    await expect(count).to_contain_text("from: default")
    await count.get_by_role("combobox").select_option("2")
    await expect(page.get_by_test_id("settings-result")).to_have_text("Pictures of a wish for you: 2.")
    await expect(count).to_contain_text("from: you")

    await page.get_by_role("radio", name="everyone here").check()
    rule, daily = field(page, "Content rule"), field(page, "Pictures a day")
    await rule.get_by_role("textbox").fill("/(/")
    await page.keyboard.press("Escape")  # what is not saved is not lost at once
    await expect(rule.get_by_role("alert")).to_have_text("This is not saved yet.")
    await rule.get_by_role("button", name="Save").click()
    await expect(rule.get_by_role("alert")).to_contain_text("The pattern '/(/' cannot be understood")
    await daily.get_by_role("spinbutton").fill("-1")
    await daily.get_by_role("spinbutton").press("Enter")
    await expect(daily.get_by_role("alert")).to_contain_text("must be a whole number from 0")
    await daily.get_by_role("spinbutton").fill("50")
    await daily.get_by_role("spinbutton").press("Enter")
    await expect(daily).to_contain_text("from: everyone here")
    await expect(rule.get_by_role("textbox")).to_have_value("/(/")  # nothing typed elsewhere is lost by that
    await rule.get_by_role("textbox").fill("fox")
    await rule.get_by_role("button", name="Save").click()
    await expect(rule.get_by_role("alert")).to_be_hidden()
    await daily.get_by_role("button", name="Reset").click()
    await expect(daily).to_contain_text("from: default")
    await page.get_by_test_id("settings-dialog").get_by_role("button", name="Close").click()

    await say(page, "/imagine a fox")
    await expect(page.get_by_role("alert")).to_contain_text("The content rule")
    await expect(page.get_by_test_id("composer")).to_have_value("/imagine a fox")
    await say(page, "/imagine a red circle")
    assert await shown(page, 2)
    await expect(page.get_by_test_id("picture")).to_have_count(2)


async def scale(page: Page) -> int:
    """How large the tree is shown, in per cent."""
    return int((await page.get_by_test_id("lineage-dialog").locator("output").inner_text()).rstrip("%"))


async def pinch(page: Page, middle: tuple[float, float], begin: float, end: float) -> None:
    """Move two fingers from so far beside the middle to so far, in pixels."""
    touch = await page.context.new_cdp_session(page)
    await touch.send("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 2})
    for nth, aside in enumerate((begin, (begin + end) / 2, end)):
        points = [{"x": middle[0] + way * aside, "y": middle[1], "id": way + 1} for way in (-1, 1)]
        kind = "touchMove" if nth else "touchStart"
        await touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    await touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    await touch.send("Emulation.setTouchEmulationEnabled", {"enabled": False})


async def test_the_tree_is_zoomed_moved_and_walked(program: Program, browser: Browser) -> None:
    """By buttons, keys, wheel and mouse; a picture opens large and is found again; a deleted one is gone everywhere."""
    page = await opened(browser, program.url)
    await expect(page.get_by_test_id("pictures")).to_be_disabled()
    await say(page, "draw a red circle")
    assert await shown(page, 1)
    for nth, words in enumerate(("make it blue", "make it yellow"), 2):
        await card(page, 1).get_by_test_id("reply").click()
        await say(page, words)
        assert await shown(page, nth)
    await page.get_by_test_id("pictures").click()
    tree, nodes = page.get_by_test_id("lineage-dialog"), page.get_by_test_id("node")
    await expect(nodes).to_have_count(3)
    await expect(nodes.nth(1)).to_contain_text("edit of #1")
    await expect(tree.locator(".arrows g path")).to_have_count(2)

    begun = await scale(page)
    await page.keyboard.press("+")
    assert await scale(page) == pytest.approx(begun * 1.25, abs=1)
    await tree.get_by_role("button", name="Zoom out").click()
    assert await scale(page) == pytest.approx(begun, abs=1)
    before = await nodes.first.bounding_box()
    assert before
    middle = (before["x"] + before["width"] / 2, before["y"] + before["height"] / 2)
    await page.mouse.move(*middle)
    await page.mouse.wheel(0, -300)
    await expect(tree.locator("output")).not_to_have_text(f"{begun}%")
    zoomed = await nodes.first.bounding_box()
    assert zoomed and zoomed["width"] > before["width"]
    assert zoomed["x"] + zoomed["width"] / 2 == pytest.approx(middle[0], abs=2)  # what is pointed at stays
    await page.mouse.down()
    await page.mouse.move(middle[0] + 60, middle[1] + 30, steps=4)
    await page.mouse.up()
    moved = await nodes.first.bounding_box()
    assert moved and moved["x"] == pytest.approx(zoomed["x"] + 60, abs=1)
    await expect(page.locator("#lightbox")).to_be_hidden()  # that was no click
    apart = await scale(page)
    await pinch(page, middle, 40, 80)
    await expect(tree.locator("output")).to_have_text(f"{2 * apart}%")
    await page.keyboard.press("0")
    assert await scale(page) == begun

    await nodes.first.get_by_role("button").focus()
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page.locator("#lightbox")).to_contain_text("Image #3")
    await page.get_by_test_id("find").click()
    await expect(tree).to_be_hidden()
    await expect(card(page, 3)).to_be_in_viewport()

    url = await card(page, 1).locator("img.picture").get_attribute("src")
    await page.get_by_test_id("pictures").click()
    other = await opened(browser, page.url)
    await other.get_by_role("button", name="Delete").first.click()
    await expect(nodes).to_have_count(2)
    await expect(card(page, 1)).to_contain_text("Deleted by")
    await expect(page.locator(f'img[src="{url}"]')).to_have_count(0)


async def test_a_conversation_is_taken_away_and_forgotten(program: Program, browser: Browser) -> None:
    """The ZIP has what was said and drawn; forgetting asks first, and then nothing is left in any window."""
    page = await opened(browser, program.url)
    await more(page, "imagine")
    dialog = page.get_by_test_id("imagine-dialog")
    await dialog.get_by_label("Prompt", exact=True).fill("a green star")
    await dialog.get_by_label("Negative prompt").fill("moon")
    await dialog.get_by_role("button", name="Generate").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("takes no negative prompt")
    await dialog.get_by_label("Negative prompt").fill("")
    await dialog.get_by_label("Seed").fill("7")
    await dialog.get_by_role("button", name="Generate").click()
    assert await shown(page, 1)
    await expect(page.locator('[data-kind="bot"][data-final="true"]')).to_have_count(1)

    async with page.expect_download() as waiting:
        await more(page, "export")
    download = await waiting.value
    assert re.fullmatch(r"a green star\.zip", download.suggested_filename)
    with zipfile.ZipFile(await download.path()) as folder:
        assert sorted(folder.namelist()) == ["index.html", "pictures.json", "pictures/0001.png"]
        assert '"seed": 7' in folder.read("pictures.json").decode()

    await say(page, "/usage")
    await expect(page.get_by_test_id("answer-dialog")).to_contain_text("1 picture in the last day")
    await page.keyboard.press("Escape")

    other = await opened(browser, page.url)
    assert await shown(other, 1)
    await more(page, "forget")
    await page.get_by_role("button", name="Keep").click()
    await expect(card(page, 1)).to_be_visible()
    await more(page, "forget")
    await page.get_by_test_id("confirm-forget").click()
    await expect(page.get_by_test_id("answer-dialog")).to_contain_text(
        "Deleted from this thread: 1 message and 1 image"
    )
    for window in (page, other):
        await expect(window.get_by_test_id("message")).to_have_count(0, timeout=PATIENCE)
        await expect(window.get_by_text("What would you like to create?")).to_be_visible()
    await page.reload()
    await expect(page.get_by_text("What would you like to create?")).to_be_visible()
    await page.get_by_test_id("more").click()
    await expect(page.get_by_test_id("forget")).to_be_disabled()
