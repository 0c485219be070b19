"""Marking a region of an image in a real browser: with the mouse and with the keyboard."""

import pytest
from playwright.async_api import Locator, Page, expect

from tests.support import browser as support
from tests.support.browser import Windows, rendered_image, send

pytestmark = support.MARKS
program, browser, windows = support.program, support.browser, support.windows  # the fixtures
pytest.importorskip("torch", reason="the built-in image model needs the render extra")

Polygon = list[tuple[float, float]]  # in percent of the image's width and height

AROUND = [(20.0, 30.0), (35.0, 20.0), (60.0, 25.0), (70.0, 50.0), (55.0, 75.0), (30.0, 70.0), (20.0, 45.0)]


async def edit_image(windows: Windows) -> Page:
    """Create an image, and press its Edit button."""
    page = await windows.new_conversation()
    await send(page, "draw a red circle on a light blue background")
    await rendered_image(page, 1)
    await page.get_by_test_id("picture").get_by_test_id("edit").click()
    await expect(page.get_by_test_id("about-chip")).to_contain_text("Editing #1")
    return page


async def request_of(page: Page, text: str) -> dict[str, object]:
    """Send a message, and return the request of the page."""
    async with page.expect_request(lambda sent: sent.url.endswith("/messages") and sent.method == "POST") as request:
        await send(page, text)
    body = (await request.value).post_data_json
    assert isinstance(body, dict)
    return body


def polygon_of(message: dict[str, object]) -> Polygon:
    """Return the region of a request."""
    pairs = [point.split(",") for point in str(message["region"]).split(" ")]
    return [(float(x), float(y)) for x, y in pairs]


async def draw(page: Page, picture: Locator, polygon: Polygon) -> None:
    """Draw a line through the points with the mouse."""
    box = await picture.bounding_box()
    assert box
    for index, (x, y) in enumerate(polygon):
        await page.mouse.move(box["x"] + box["width"] * x / 100, box["y"] + box["height"] * y / 100)
        if index == 0:
            await page.mouse.down()
    await page.mouse.up()


def near(point: tuple[float, float], polygon: Polygon) -> bool:
    """Return whether a point of the polygon is within one percent of this point."""
    return any(abs(point[0] - x) <= 1 and abs(point[1] - y) <= 1 for x, y in polygon)


async def test_region_drawn_with_the_mouse_is_sent_once(windows: Windows) -> None:
    """The request has the line of the mouse in percent; a tiny line is ignored, a long one reduced to 100 points."""
    page = await edit_image(windows)
    chip, picture = page.get_by_test_id("about-chip"), page.get_by_test_id("region-image")
    await page.get_by_test_id("mark-region").click()
    await draw(page, picture, [(80, 80), (95, 80), (95, 95)])
    await draw(page, picture, AROUND)  # replaces the first one
    await draw(page, picture, [(5, 5), (5.3, 5), (5.3, 5.3)])
    await page.get_by_test_id("region-done").click()
    await expect(chip).to_contain_text("Editing #1 (a region)")
    await expect(page.get_by_test_id("composer")).to_be_focused()
    message = await request_of(page, "make it blue")
    polygon = polygon_of(message)
    assert message["about"] == 1
    assert all(near(point, AROUND) for point in polygon) and all(near(point, polygon) for point in AROUND)

    await expect(chip).to_be_hidden()
    await page.get_by_test_id("picture").first.get_by_test_id("reply").click()
    await expect(chip).to_contain_text("Replying to #1")
    await expect(chip).not_to_contain_text("(a region)")
    await page.get_by_test_id("mark-region").click()
    down, up = range(20, 80), range(80, 20, -1)  # the way down is outside the image
    await draw(page, picture, [*((-2.0, y) for y in down), *((60.0, y) for y in up)])
    await page.get_by_test_id("region-done").click()
    polygon = polygon_of(await request_of(page, "make it green"))
    assert len(polygon) == 100
    assert all(x == 0 or abs(x - 60) <= 1 for x, _ in polygon)
    assert abs(sum(x == 0 for x, _ in polygon) - 50) <= 2


async def test_region_is_marked_with_the_keyboard(windows: Windows) -> None:
    """Arrow keys move and resize a box; Enter saves it, and Escape keeps the region of before."""
    page = await edit_image(windows)
    chip, dialog = page.get_by_test_id("about-chip"), page.get_by_test_id("region-dialog")
    await page.get_by_test_id("mark-region").press("Enter")
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowLeft", "Shift+ArrowDown"):
        await page.keyboard.press(key)
    await page.keyboard.press("Enter")
    await expect(dialog).to_be_hidden()
    await expect(chip).to_contain_text("Editing #1 (a region)")

    await page.get_by_test_id("mark-region").press("Enter")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    message = await request_of(page, "make it blue")
    assert (message["about"], message["region"]) == (1, "35,25 70,25 70,70 35,70")


async def test_region_is_removed(windows: Windows) -> None:
    """A button removes the region, and so does removing the image that the message is about."""
    page = await edit_image(windows)
    chip, picture = page.get_by_test_id("about-chip"), page.get_by_test_id("region-image")
    for button in ("region-whole", "remove-about"):
        await page.get_by_test_id("mark-region").click()
        await draw(page, picture, AROUND)
        await page.get_by_test_id("region-done").click()
        await expect(chip).to_contain_text("a region")
        if button == "region-whole":
            await page.get_by_test_id("mark-region").click()
        await page.get_by_test_id(button).click()
        await expect(chip).not_to_contain_text("(a region)")
    await page.get_by_test_id("picture").get_by_test_id("edit").click()
    message = await request_of(page, "make it blue")
    assert message["about"] == 1 and "region" not in message
