"""A thread that is taken away: the ZIP, what it tells of each picture, and its page in a real browser."""

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
    """One that was uploaded, one made of it, and one made of that."""
    digests = [files.put(png(colour, 64)) for colour in COLOURS]
    told = Picture(
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
        told,
        replace(
            told,
            number=3,
            digest=digests[2],
            refined_prompt="",
            request=replace(told.request, operation=Operation.VARY, source=2, prompt=SCRIPT),
        ),
    ]


def part(picture: Picture, key: int = 0, operation: Operation | None = None) -> PicturePart:
    """A picture in a reply."""
    made = operation or picture.request.operation
    return PicturePart(key, picture.number, made, picture.request.prompt, Rendered(picture), picture.request.source)


def said(message_id: str, text: str, *parts: TextPart | PicturePart, author: Person = ANN, more: Any = ()) -> Entry:
    """A message with its reply; `more` are its uploads."""
    return Entry(message_id, THREAD, author, text, None, tuple(more), "", View(parts, final=True))


def thread(pictures: Sequence[Picture]) -> list[Entry]:
    """What was said about the three pictures, with all that could break a page."""
    photo, sun, moon = pictures
    return [
        said("m1", f"Look: {SCRIPT} {QUOTES}", TextPart(f"**Nice** {SCRIPT}"), part(sun), more=[photo]),
        said(
            "m2", "more like it", TextPart("![pixel](//there/x.png) [go](javascript:alert(1)) $title"), part(moon),
            author=Person("x", "<b>Xe</b>"),
        ),
        said("m3", "the first", part(sun, 0, Operation.SELECT), author=CID),
    ]  # fmt: skip


def packed(files: PictureFiles, entries: Sequence[Entry], pictures: Sequence[Picture], title: str = "T") -> io.BytesIO:
    """The ZIP."""
    file = io.BytesIO()
    write_export(file, title, entries, pictures, files.read)
    return file


def opened(file: io.BytesIO) -> tuple[dict[str, bytes], dict[str, Any], str]:
    """The files of the ZIP, what is told of the pictures, and the page."""
    with zipfile.ZipFile(file) as folder:
        assert folder.testzip() is None
        found = {name: folder.read(name) for name in folder.namelist()}
    assert len(found) == len(folder.namelist())
    return found, json.loads(found["pictures.json"]), found["index.html"].decode()


class Elements(HTMLParser):
    """The elements of a page with their attributes, as a browser would find them."""

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


def test_the_originals_are_there_byte_for_byte(files: PictureFiles, pictures: list[Picture]) -> None:
    """Under their numbers, beside the page and the record, and nothing else."""
    found, _, _ = opened(packed(files, thread(pictures), pictures))
    names = [f"pictures/000{number}.png" for number in (1, 2, 3)]
    assert sorted(found) == ["index.html", "pictures.json", *names]
    assert [found[name] for name in names] == [png(colour, 64) for colour in COLOURS]


def test_it_tells_all_that_is_known_of_each_picture(files: PictureFiles, pictures: list[Picture]) -> None:
    """Also of what was asked; whoever chose a picture later did not ask for it."""
    entries = thread(pictures)
    _, told, _ = opened(packed(files, entries, pictures, "Süns & moons"))
    assert told["title"] == "Süns & moons"
    assert [each["number"] for each in told["pictures"]] == [1, 2, 3]
    assert told["pictures"][1] == {
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
    photo, moon = told["pictures"][0], told["pictures"][2]
    assert [photo[key] for key in ("parent", "refined", "seed", "model", "asked_by")] == [None, None, None, None, "Ann"]
    assert (moon["asked_by"], moon["asked_in_words"], moon["refined"]) == ("<b>Xe</b>", "more like it", None)


def test_the_page_shows_every_picture_by_a_relative_path(files: PictureFiles, pictures: list[Picture]) -> None:
    """Where it was brought, drawn and chosen; with its words for those who cannot see it."""
    found, _, page = opened(packed(files, thread(pictures), pictures))
    images = Elements(page).of("img")
    assert [image["src"] for image in images] == [f"pictures/000{number}.png" for number in (1, 2, 3, 2)]
    assert {image["src"] for image in images} <= set(found)
    assert [image["alt"] for image in images[:2]] == ["a photo", QUOTES]
    assert "edit of #1 · seed <code>7</code><br>a sun &amp; a moon" in page


def test_words_are_words_on_the_page(files: PictureFiles, pictures: list[Picture]) -> None:
    """Of people, of the chat model, in prompts, names and titles: no script, no handler, no element of theirs."""
    _, _, page = opened(packed(files, thread(pictures), pictures, f"{SCRIPT} $body"))
    elements = Elements(page)
    assert {tag for tag, _ in elements.found} <= {
        "html", "meta", "title", "style", "h1", "h2", "article", "p", "figure", "img", "figcaption", "br", "code",
        "strong", "a",
    }  # fmt: skip
    assert not [key for _, attributes in elements.found for key in attributes if key.startswith("on")]
    assert [link["href"] for link in elements.of("a")] == ["//there/x.png"]
    assert "<strong>Nice</strong>" in page and "&lt;b&gt;Xe&lt;/b&gt;" in page
    assert "$title" in page and "$body" in page


def test_the_page_needs_nothing_from_elsewhere(files: PictureFiles, pictures: list[Picture]) -> None:
    """It holds no address of its own, and forbids the browser to load anything but its pictures."""
    _, _, page = opened(packed(files, thread(pictures), pictures))
    assert re.search(r"https?:|url\(|@import", page) is None
    policy = next(meta for meta in Elements(page).of("meta") if "http-equiv" in meta)
    assert (policy["content"] or "").startswith("default-src 'none';")


def test_what_is_gone_is_told_as_gone(files: PictureFiles, pictures: list[Picture]) -> None:
    """A file that is missing, a picture that did not come or was deleted: all the rest is there."""
    files.delete(pictures[1].digest)
    failed = PicturePart(1, 8, Operation.GENERATE, "a cat", Failed("Deleted by <Ann>.", again=False))
    waiting = PicturePart(2, 9, Operation.GENERATE, "a dog", Queued(0))
    entries = [*thread(pictures), said("m4", "draw", failed, waiting), replace(said("m5", "and?"), view=None)]
    found, told, page = opened(packed(files, entries, pictures))
    assert sorted(found) == ["index.html", "pictures.json", "pictures/0001.png", "pictures/0003.png"]
    assert [each["file"] for each in told["pictures"]] == ["pictures/0001.png", None, "pictures/0003.png"]
    assert page.count("#2 is not here any more.") == 2
    assert "#8: Deleted by &lt;Ann&gt;." in page and "<p>and?</p>" in page


def test_an_empty_thread_is_a_page_all_the_same(files: PictureFiles) -> None:
    """Where nothing was said yet."""
    found, told, page = opened(packed(files, [], [], "Nothing"))
    assert sorted(found) == ["index.html", "pictures.json"]
    assert told == {"title": "Nothing", "pictures": []} and "<h1>Nothing</h1>" in page


# In a browser


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A browser without a window."""
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
    """All pictures are loaded, in their colours; nothing is asked of the network, and no word has done anything."""
    target = tmp_path / "un packed & odd #1"
    with zipfile.ZipFile(packed(files, thread(pictures), pictures, f"Suns {SCRIPT}")) as folder:
        folder.extractall(target)
    page = await browser.new_page()
    asked: list[str] = []
    troubles: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda told: troubles.append(told.text))
    await page.goto((target / "index.html").as_uri(), wait_until="load")
    assert await page.evaluate("[...document.images].map(i => [i.complete, i.naturalWidth])") == [[True, 64]] * 4
    seen = await page.locator("img").nth(2).screenshot()
    with Image.open(io.BytesIO(seen)) as shot:
        assert shot.convert("RGB").getpixel((shot.width // 2, shot.height // 2)) == (0, 0, 255)
    assert await page.title() == f"Suns {SCRIPT}"
    assert f"Look: {SCRIPT} {QUOTES}" in await page.locator("article").first.inner_text()
    assert all(url.startswith("file:") for url in asked) and len(asked) == 4  # the page, and each file once
    assert troubles == []
