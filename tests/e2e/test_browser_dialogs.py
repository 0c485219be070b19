"""The toolbar of a conversation in a real browser: settings, version history, export, deletion, typed commands."""

import re
import zipfile

import pytest
from playwright.async_api import Locator, Page, expect

from tests.support import browser as support
from tests.support.browser import TIMEOUT, Windows, card, rendered_image, send

pytestmark = support.MARKS
program, browser, windows = support.program, support.browser, support.windows  # the fixtures
pytest.importorskip("torch", reason="the built-in image model needs the render extra")


def field(page: Page, title: str) -> Locator:
    """Return the row of a setting."""
    return page.get_by_test_id("field").filter(has=page.get_by_label(title, exact=True))


async def choose_from_menu(page: Page, item: str) -> None:
    """Open the menu and choose an item."""
    await page.get_by_test_id("more").click()
    await page.get_by_test_id(item).click()


async def test_settings_are_changed_and_applied(windows: Windows) -> None:
    """Each setting shows its scope and its own error, keeps unsaved input, and applies to the next images."""
    page = await windows.new_conversation()
    await page.get_by_test_id("settings").click()
    count = field(page, "Images per request")
    await expect(count).to_contain_text("from: default")
    await count.get_by_role("combobox").select_option("2")
    await expect(page.get_by_test_id("settings-result")).to_have_text("Images per request for you: 2.")
    await expect(count).to_contain_text("from: you")

    await page.get_by_role("radio", name="everyone here").check()
    rule, daily = field(page, "Blocked words"), field(page, "Daily limit per user")
    await rule.get_by_role("textbox").fill("/(/")
    await page.keyboard.press("Escape")  # a value that is not saved yet is kept
    await expect(rule.get_by_role("alert")).to_have_text("This is not saved yet.")
    await rule.get_by_role("button", name="Save").click()
    await expect(rule.get_by_role("alert")).to_contain_text("The pattern “/(/” is not valid")
    await daily.get_by_role("spinbutton").fill("-1")
    await daily.get_by_role("spinbutton").press("Enter")
    await expect(daily.get_by_role("alert")).to_contain_text("must be a whole number from 0")
    await daily.get_by_role("spinbutton").fill("50")
    await daily.get_by_role("spinbutton").press("Enter")
    await expect(daily).to_contain_text("from: everyone here")
    await expect(rule.get_by_role("textbox")).to_have_value("/(/")  # other unsaved input is kept
    await rule.get_by_role("textbox").fill("fox")
    await rule.get_by_role("button", name="Save").click()
    await expect(rule.get_by_role("alert")).to_be_hidden()
    await daily.get_by_role("button", name="Reset").click()
    await expect(daily).to_contain_text("from: default")
    await page.get_by_test_id("settings-dialog").get_by_role("button", name="Close").click()

    await send(page, "/imagine a fox")
    await expect(page.get_by_role("alert")).to_contain_text("The content filter")
    await expect(page.get_by_test_id("composer")).to_have_value("/imagine a fox")
    await send(page, "/imagine a red circle")
    assert await rendered_image(page, 2)
    await expect(page.get_by_test_id("picture")).to_have_count(2)


async def zoom_level(page: Page) -> int:
    """Return the zoom of the version history, in percent."""
    return int((await page.get_by_test_id("lineage-dialog").locator("output").inner_text()).rstrip("%"))


async def pinch(page: Page, center: tuple[float, float], start: float, end: float) -> None:
    """Move two fingers from one distance to the center to another one, in pixels."""
    touch = await page.context.new_cdp_session(page)
    await touch.send("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 2})
    for index, distance in enumerate((start, (start + end) / 2, end)):
        points = [{"x": center[0] + side * distance, "y": center[1], "id": side + 1} for side in (-1, 1)]
        event = "touchMove" if index else "touchStart"
        await touch.send("Input.dispatchTouchEvent", {"type": event, "touchPoints": points})
    await touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    await touch.send("Emulation.setTouchEmulationEnabled", {"enabled": False})


async def test_version_history_zooms_moves_and_opens_images(windows: Windows) -> None:
    """Buttons, keys, wheel and touch zoom and move it; an image opens in full size; a deleted one disappears."""
    page = await windows.new_conversation()
    await expect(page.get_by_test_id("pictures")).to_be_disabled()
    await send(page, "draw a red circle")
    assert await rendered_image(page, 1)
    for number, text in enumerate(("make it blue", "make it yellow"), 2):
        await card(page, 1).get_by_test_id("reply").click()
        await send(page, text)
        assert await rendered_image(page, number)
    await page.get_by_test_id("pictures").click()
    history, nodes = page.get_by_test_id("lineage-dialog"), page.get_by_test_id("node")
    await expect(nodes).to_have_count(3)
    await expect(nodes.nth(1)).to_contain_text("edit of #1")
    await expect(history.locator(".arrows g path")).to_have_count(2)

    initial = await zoom_level(page)
    await page.keyboard.press("+")
    assert await zoom_level(page) == pytest.approx(initial * 1.25, abs=1)
    await history.get_by_role("button", name="Zoom out").click()
    assert await zoom_level(page) == pytest.approx(initial, abs=1)
    before = await nodes.first.bounding_box()
    assert before
    center = (before["x"] + before["width"] / 2, before["y"] + before["height"] / 2)
    await page.mouse.move(*center)
    await page.mouse.wheel(0, -300)
    await expect(history.locator("output")).not_to_have_text(f"{initial}%")
    zoomed = await nodes.first.bounding_box()
    assert zoomed and zoomed["width"] > before["width"]
    assert zoomed["x"] + zoomed["width"] / 2 == pytest.approx(center[0], abs=2)  # the point below the pointer stays
    await page.mouse.down()
    await page.mouse.move(center[0] + 60, center[1] + 30, steps=4)
    await page.mouse.up()
    moved = await nodes.first.bounding_box()
    assert moved and moved["x"] == pytest.approx(zoomed["x"] + 60, abs=1)
    await expect(page.locator("#lightbox")).to_be_hidden()  # a drag is not a click
    zoom = await zoom_level(page)
    await pinch(page, center, 40, 80)
    await expect(history.locator("output")).to_have_text(f"{2 * zoom}%")
    await page.keyboard.press("0")
    assert await zoom_level(page) == initial

    await nodes.first.get_by_role("button").focus()
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page.locator("#lightbox")).to_contain_text("Image #3")
    await page.get_by_test_id("find").click()
    await expect(history).to_be_hidden()
    await expect(card(page, 3)).to_be_in_viewport()

    url = await card(page, 1).locator("img.picture").get_attribute("src")
    await page.get_by_test_id("pictures").click()
    other = await windows.open(page.url)
    await other.get_by_role("button", name="Delete").first.click()
    await expect(nodes).to_have_count(2)
    await expect(card(page, 1)).to_contain_text("Deleted by")
    await expect(page.locator(f'img[src="{url}"]')).to_have_count(0)


async def test_conversation_is_exported_and_deleted(windows: Windows) -> None:
    """The ZIP contains messages and images; deleting asks first, and then every window is empty."""
    page = await windows.new_conversation()
    await choose_from_menu(page, "imagine")
    dialog = page.get_by_test_id("imagine-dialog")
    await dialog.get_by_label("Prompt", exact=True).fill("a green star")
    await dialog.get_by_label("Negative prompt").fill("moon")
    await dialog.get_by_role("button", name="Generate").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("takes no negative prompt")
    await dialog.get_by_label("Negative prompt").fill("")
    await dialog.get_by_label("Seed").fill("7")
    await dialog.get_by_role("button", name="Generate").click()
    assert await rendered_image(page, 1)
    await expect(page.locator('[data-kind="bot"][data-final="true"]')).to_have_count(1)

    async with page.expect_download() as download_info:
        await choose_from_menu(page, "export")
    download = await download_info.value
    assert re.fullmatch(r"a green star\.zip", download.suggested_filename)
    with zipfile.ZipFile(await download.path()) as folder:
        assert sorted(folder.namelist()) == ["index.html", "pictures.json", "pictures/0001.png"]
        assert '"seed": 7' in folder.read("pictures.json").decode()

    await send(page, "/usage")
    await expect(page.get_by_test_id("answer-dialog")).to_contain_text("1 image in the last day")
    await page.keyboard.press("Escape")

    other = await windows.open(page.url)
    assert await rendered_image(other, 1)
    await choose_from_menu(page, "forget")
    await page.get_by_role("button", name="Keep").click()
    await expect(card(page, 1)).to_be_visible()
    await choose_from_menu(page, "forget")
    await page.get_by_test_id("confirm-forget").click()
    await expect(page.get_by_test_id("answer-dialog")).to_contain_text(
        "Deleted from this thread: 1 message and 1 image"
    )
    for window in (page, other):
        await expect(window.get_by_test_id("message")).to_have_count(0, timeout=TIMEOUT)
        await expect(window.get_by_text("What would you like to create?")).to_be_visible()
    await page.reload()
    await expect(page.get_by_text("What would you like to create?")).to_be_visible()
    await page.get_by_test_id("more").click()
    await expect(page.get_by_test_id("forget")).to_be_disabled()
