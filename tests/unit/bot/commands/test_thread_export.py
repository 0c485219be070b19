"""The export of a thread: the ZIP, its data about each image, and its page in a real browser."""

import io
import json
import os
import re
import shutil
import zipfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.async_api import Browser, async_playwright

from bot.commands.thread_export import write_export
from bot.domain import (
    Entry,
    Failed,
    ImageRequest,
    Operation,
    Person,
    Picture,
    PicturePart,
    Queued,
    Rendered,
    Sampling,
    TextPart,
    View,
)
from bot.storage.picture_files import PictureFiles
from tests.support.doubles import ANN, CID, THREAD
from tests.support.images import png

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]

SCRIPT = "<script>document.title = 'broken'</script>"
QUOTES = "\"><img src=x onerror=\"document.title='broken'\"> it's"
COLOURS = ("red", "lime", "blue")


@pytest.fixture
def pictures(files: PictureFiles) -> list[Picture]:
    """An upload, an image made from it, and one made from that."""
    digests = [files.put(png(colour, 64)) for colour in COLOURS]
    photo = Picture(
        2,
        digests[1],
        64,
        64,
        QUOTES,
        ImageRequest(0, Operation.EDIT, "a sun & a moon", source=1, sampling=Sampling(seed=7)),
        model="deep",
        refined_prompt="A bright sun.",
    )
    return [
        Picture(1, digests[0], 64, 64, "a photo", ImageRequest(0, Operation.UPLOAD, "")),
        photo,
        replace(
            photo,
            number=3,
            digest=digests[2],
            refined_prompt="",
            request=replace(photo.request, operation=Operation.VARY, source=2, prompt=SCRIPT),
        ),
    ]


def part(picture: Picture, key: int = 0, operation: Operation | None = None) -> PicturePart:
    """An image part of a reply."""
    made = operation or picture.request.operation
    return PicturePart(key, picture.number, made, picture.request.prompt, Rendered(picture), picture.request.source)


def entry_of(message_id: str, text: str, *parts: TextPart | PicturePart, author: Person = ANN, more: Any = ()) -> Entry:
    """A message with its reply; `more` are its uploads."""
    return Entry(message_id, THREAD, author, text, None, tuple(more), "", View(parts, final=True))


def thread(pictures: Sequence[Picture]) -> list[Entry]:
    """A thread about the three images, with everything that could break a page."""
    photo, sun, moon = pictures
    return [
        entry_of("m1", f"Look: {SCRIPT} {QUOTES}", TextPart(f"**Nice** {SCRIPT}"), part(sun), more=[photo]),
        entry_of(
            "m2", "more like it", TextPart("![pixel](//there/x.png) [go](javascript:alert(1)) $title"), part(moon),
            author=Person("x", "<b>Xe</b>"),
        ),
        entry_of("m3", "the first", part(sun, 0, Operation.SELECT), author=CID),
    ]  # fmt: skip


def pack(files: PictureFiles, entries: Sequence[Entry], pictures: Sequence[Picture], title: str = "T") -> io.BytesIO:
    """The ZIP."""
    file = io.BytesIO()
    write_export(file, title, entries, pictures, files.read)
    return file


def unpack(file: io.BytesIO) -> tuple[dict[str, bytes], dict[str, Any], str]:
    """The files of the ZIP, its data about the images, and the page."""
    with zipfile.ZipFile(file) as folder:
        assert folder.testzip() is None
        found = {name: folder.read(name) for name in folder.namelist()}
    assert len(found) == len(folder.namelist())
    return found, json.loads(found["pictures.json"]), found["index.html"].decode()


class Elements(HTMLParser):
    """The elements of a page with their attributes, as a browser finds them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One more."""
        self.found.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of this name."""
        return [attributes for name, attributes in self.found if name == tag]


def test_the_zip_contains_the_original_files(files: PictureFiles, pictures: list[Picture]) -> None:
    """Under their numbers, beside the page and the data, and nothing else."""
    found, _, _ = unpack(pack(files, thread(pictures), pictures))
    names = [f"pictures/000{number}.png" for number in (1, 2, 3)]
    assert sorted(found) == ["index.html", "pictures.json", *names]
    assert [found[name] for name in names] == [png(colour, 64) for colour in COLOURS]


def test_the_data_contains_everything_about_each_image(files: PictureFiles, pictures: list[Picture]) -> None:
    """Also who requested it; a user who selected it later did not request it."""
    entries = thread(pictures)
    _, data, _ = unpack(pack(files, entries, pictures, "Süns & moons"))
    assert data["title"] == "Süns & moons"
    assert [each["number"] for each in data["pictures"]] == [1, 2, 3]
    assert data["pictures"][1] == {
        "number": 2,
        "file": "pictures/0002.png",
        "operation": "edit",
        "parent": 1,
        "prompt": "a sun & a moon",
        "refined": "A bright sun.",
        "seed": 7,
        "model": "deep",
        "width": 64,
        "height": 64,
        "sha256": pictures[1].digest,
        "asked_by": "Ann",
        "asked_in_words": entries[0].text,
    }
    photo, moon = data["pictures"][0], data["pictures"][2]
    assert [photo[key] for key in ("parent", "refined", "seed", "model", "asked_by")] == [None, None, None, None, "Ann"]
    assert (moon["asked_by"], moon["asked_in_words"], moon["refined"]) == ("<b>Xe</b>", "more like it", None)


def test_the_page_shows_every_image_by_a_relative_path(files: PictureFiles, pictures: list[Picture]) -> None:
    """At its upload, rendering and selection, with its alternative text."""
    found, _, page = unpack(pack(files, thread(pictures), pictures))
    images = Elements(page).of("img")
    assert [image["src"] for image in images] == [f"pictures/000{number}.png" for number in (1, 2, 3, 2)]
    assert {image["src"] for image in images} <= set(found)
    assert [image["alt"] for image in images[:2]] == ["a photo", QUOTES]
    assert "edit of #1 · seed <code>7</code><br>a sun &amp; a moon" in page


def test_texts_are_escaped_on_the_page(files: PictureFiles, pictures: list[Picture]) -> None:
    """Of users, of the chat model, in prompts, names and titles: no script, no handler, no element of theirs."""
    _, _, page = unpack(pack(files, thread(pictures), pictures, f"{SCRIPT} $body"))
    elements = Elements(page)
    assert {tag for tag, _ in elements.found} <= {
        "html", "meta", "title", "style", "h1", "h2", "article", "p", "figure", "img", "figcaption", "br", "code",
        "strong", "a",
    }  # fmt: skip
    assert not [key for _, attributes in elements.found for key in attributes if key.startswith("on")]
    assert [link["href"] for link in elements.of("a")] == ["//there/x.png"]
    assert "<strong>Nice</strong>" in page and "&lt;b&gt;Xe&lt;/b&gt;" in page
    assert "$title" in page and "$body" in page


def test_the_page_loads_nothing_from_other_places(files: PictureFiles, pictures: list[Picture]) -> None:
    """It has no address of its own, and forbids the browser to load anything but its images."""
    _, _, page = unpack(pack(files, thread(pictures), pictures))
    assert re.search(r"https?:|url\(|@import", page) is None
    policy = next(meta for meta in Elements(page).of("meta") if "http-equiv" in meta)
    assert (policy["content"] or "").startswith("default-src 'none';")


def test_missing_images_are_marked_on_the_page(files: PictureFiles, pictures: list[Picture]) -> None:
    """A missing file, a failed or a deleted image: everything else is there."""
    files.delete(pictures[1].digest)
    failed = PicturePart(1, 8, Operation.GENERATE, "a cat", Failed("Deleted by <Ann>.", again=False))
    waiting = PicturePart(2, 9, Operation.GENERATE, "a dog", Queued(0))
    entries = [
        *thread(pictures),
        entry_of("m4", "draw", failed, waiting),
        replace(entry_of("m5", "and?"), view=None),
    ]
    found, data, page = unpack(pack(files, entries, pictures))
    assert sorted(found) == ["index.html", "pictures.json", "pictures/0001.png", "pictures/0003.png"]
    assert [each["file"] for each in data["pictures"]] == ["pictures/0001.png", None, "pictures/0003.png"]
    assert page.count("#2 is not here any more.") == 2
    assert "#8: Deleted by &lt;Ann&gt;." in page and "<p>and?</p>" in page


def test_an_empty_thread_gives_a_page(files: PictureFiles) -> None:
    """Also before the first message."""
    found, data, page = unpack(pack(files, [], [], "Nothing"))
    assert sorted(found) == ["index.html", "pictures.json"]
    assert data == {"title": "Nothing", "pictures": []} and "<h1>Nothing</h1>" in page


# In a browser


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A headless browser."""
    assert CHROMIUM, "Chromium is required here"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        await browser.close()


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM and not os.environ.get("REQUIRE_BROWSER"), reason="Chromium is not installed")
async def test_the_unpacked_page_opens_from_the_disk(
    files: PictureFiles, pictures: list[Picture], browser: Browser, tmp_path: Path
) -> None:
    """All images are loaded, in their colours; no network request is made, and no text has an effect."""
    target = tmp_path / "un pack & odd #1"
    with zipfile.ZipFile(pack(files, thread(pictures), pictures, f"Suns {SCRIPT}")) as folder:
        folder.extractall(target)
    page = await browser.new_page()
    asked: list[str] = []
    troubles: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text))
    await page.goto((target / "index.html").as_uri(), wait_until="load")
    assert await page.evaluate("[...document.images].map(i => [i.complete, i.naturalWidth])") == [[True, 64]] * 4
    seen = await page.locator("img").nth(2).screenshot()
    with Image.open(io.BytesIO(seen)) as shot:
        assert shot.convert("RGB").getpixel((shot.width // 2, shot.height // 2)) == (0, 0, 255)
    assert await page.title() == f"Suns {SCRIPT}"
    assert f"Look: {SCRIPT} {QUOTES}" in await page.locator("article").first.inner_text()
    assert all(url.startswith("file:") for url in asked) and len(asked) == 4  # the page, and each file once
    assert troubles == []
