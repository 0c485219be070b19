"""A part of a picture is marked in a real browser: by mouse, by keys, and not at all."""

from playwright.async_api import Browser, Locator, Page, expect

from tests.e2e import test_browser
from tests.e2e.test_browser import opened, say, shown
from tests.support.programs import Program

pytestmark = test_browser.pytestmark
browser = test_browser.browser  # the fixture

Corners = list[tuple[float, float]]  # in percent of the picture's width and height

AROUND = [(20.0, 30.0), (35.0, 20.0), (60.0, 25.0), (70.0, 50.0), (55.0, 75.0), (30.0, 70.0), (20.0, 45.0)]


async def about_to_edit(browser: Browser, address: str) -> Page:
    """A page with a picture that the next message is to change."""
    page = await opened(browser, address)
    await say(page, "draw a red circle on a light blue background")
    await shown(page, 1)
    await page.get_by_test_id("picture").get_by_test_id("edit").click()
    await expect(page.get_by_test_id("about-chip")).to_contain_text("Editing #1")
    return page


async def sent(page: Page, text: str) -> dict[str, object]:
    """What goes to the server when this is typed and sent."""
    async with page.expect_request(lambda each: each.url.endswith("/messages") and each.method == "POST") as request:
        await say(page, text)
    body = (await request.value).post_data_json
    assert isinstance(body, dict)
    return body


def corners_of(message: dict[str, object]) -> Corners:
    """Those of the part that goes with a message."""
    pairs = [corner.split(",") for corner in str(message["region"]).split(" ")]
    return [(float(x), float(y)) for x, y in pairs]


async def draw(page: Page, picture: Locator, corners: Corners) -> None:
    """Move the mouse along these corners, pressed."""
    box = await picture.bounding_box()
    assert box
    for nth, (x, y) in enumerate(corners):
        await page.mouse.move(box["x"] + box["width"] * x / 100, box["y"] + box["height"] * y / 100)
        if nth == 0:
            await page.mouse.down()
    await page.mouse.up()


def near(corner: tuple[float, float], others: Corners) -> bool:
    """Whether one of the others is within a percent of the corner."""
    return any(abs(corner[0] - x) <= 1 and abs(corner[1] - y) <= 1 for x, y in others)


async def test_a_line_drawn_around_a_part_is_sent_once(program: Program, browser: Browser) -> None:
    """Where the mouse went, in percent of the picture; a slip changes nothing, and a long line is thinned out."""
    page = await about_to_edit(browser, program.url)
    chip, picture = page.get_by_test_id("about-chip"), page.get_by_test_id("region-image")
    await page.get_by_test_id("mark-region").click()
    await draw(page, picture, [(80, 80), (95, 80), (95, 95)])
    await draw(page, picture, AROUND)  # instead of the first
    await draw(page, picture, [(5, 5), (5.3, 5), (5.3, 5.3)])
    await page.get_by_test_id("region-done").click()
    await expect(chip).to_contain_text("Editing #1 (a region)")
    await expect(page.get_by_test_id("composer")).to_be_focused()
    message = await sent(page, "make it blue")
    corners = corners_of(message)
    assert message["about"] == 1
    assert all(near(corner, AROUND) for corner in corners) and all(near(corner, corners) for corner in AROUND)

    await expect(chip).to_be_hidden()
    await page.get_by_test_id("picture").first.get_by_test_id("reply").click()
    await expect(chip).to_contain_text("Replying to #1")
    await expect(chip).not_to_contain_text("a region")
    await page.get_by_test_id("mark-region").click()
    down, up = range(20, 80), range(80, 20, -1)  # the way down is beside the picture
    await draw(page, picture, [*((-2.0, y) for y in down), *((60.0, y) for y in up)])
    await page.get_by_test_id("region-done").click()
    corners = corners_of(await sent(page, "make it green"))
    assert len(corners) == 100
    assert all(x == 0 or abs(x - 60) <= 1 for x, _ in corners)
    assert abs(sum(x == 0 for x, _ in corners) - 50) <= 2


async def test_a_part_is_marked_by_keys(program: Program, browser: Browser) -> None:
    """Arrow keys move and resize a box; Enter keeps it, and Escape leaves what was marked before."""
    page = await about_to_edit(browser, program.url)
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
    message = await sent(page, "make it blue")
    assert (message["about"], message["region"]) == (1, "35,25 70,25 70,70 35,70")


async def test_the_whole_picture_again(program: Program, browser: Browser) -> None:
    """What was marked is forgotten by a button, and with the picture that it is a part of."""
    page = await about_to_edit(browser, program.url)
    chip, picture = page.get_by_test_id("about-chip"), page.get_by_test_id("region-image")
    for forget in ("region-whole", "remove-about"):
        await page.get_by_test_id("mark-region").click()
        await draw(page, picture, AROUND)
        await page.get_by_test_id("region-done").click()
        await expect(chip).to_contain_text("a region")
        if forget == "region-whole":
            await page.get_by_test_id("mark-region").click()
        await page.get_by_test_id(forget).click()
        await expect(chip).not_to_contain_text("a region")
    await page.get_by_test_id("picture").get_by_test_id("edit").click()
    message = await sent(page, "make it blue")
    assert message["about"] == 1 and "region" not in message
