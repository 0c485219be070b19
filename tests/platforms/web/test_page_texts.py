"""The texts of the page: ids of the message catalogs in the static files, and the catalog that the server sends."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from adapters.web.queue_routes import STATIC
from adapters.web.server import PAGE_TEXTS
from bot.notices import LANGUAGES, catalog
from tests.support.web_app import running_web_app

SCRIPTS = sorted(STATIC.glob("*.js"))
PAGES = sorted(STATIC.glob("*.html"))
NAME = "Mini-DALL·E 3"
VISIBLE_ATTRIBUTES = {"title", "aria-label", "placeholder", "alt"}
NO_TEXTS = {"slot busy"}  # class names
TEXT_ID = re.compile(r'"((?:web|button|origin)-[a-z0-9-]+)"')


class PageParser(HTMLParser):
    """Collects the texts and the ids of texts of an HTML file."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the attributes."""
        self.texts += [value for name, value in attrs if name in VISIBLE_ATTRIBUTES and value]
        self.ids += [value for name, value in attrs if name.startswith("data-text") and value]

    def handle_data(self, data: str) -> None:
        """Collect a text."""
        self.texts += [data.strip()] if data.strip() else []


def parse(page: Path) -> PageParser:
    """Return the texts and ids of an HTML file."""
    parser = PageParser()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser


def literals(script: Path) -> Iterator[str]:
    """The string literals of a script, without the expressions in them."""
    code = re.sub(r"/\*.*?\*/|(?<![:'\"])//[^\n]*", "", script.read_text(encoding="utf-8"), flags=re.DOTALL)
    for literal in re.findall(r'"[^"\n]*"|`[^`]*`', code):
        yield re.sub(r"\$\{[^}]*\}", "", literal[1:-1])


def used_ids() -> set[str]:
    """The ids in the static files."""
    ids = {id_ for page in PAGES for id_ in parse(page).ids}
    return ids.union(*(TEXT_ID.findall(script.read_text(encoding="utf-8")) for script in SCRIPTS))


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_text_of_the_page_is_in_the_catalog(language: str) -> None:
    """Each id in the static files has a text, with arguments that `messages.js` can format."""
    texts = catalog(language)
    assert sorted(used_ids() - set(texts)) == []
    assert all(id_.startswith(PAGE_TEXTS) for id_ in used_ids())
    for id_ in used_ids():
        assert set(re.findall(r"\{\w+(:\w+)?\}", str(texts[id_]))) <= {"", ":id"}, id_


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_contain_no_texts(page: Path) -> None:
    """An HTML file names the ids of its texts; only the name of the program is in it."""
    assert {text for text in parse(page).texts if re.search(r"[A-Za-z]{2}", text)} == {NAME}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_contain_no_sentences(script: Path) -> None:
    """No string literal has two words, or an ellipsis; selectors are recognized by their first character."""
    sentences = {
        literal
        for literal in literals(script)
        if re.search(r"\b[A-Za-z]{2,} [a-z]{2,}\b|…|“", literal) and not re.match(r"[.#\[(]", literal)
    }
    assert sentences - NO_TEXTS == set()


async def test_the_page_receives_the_texts_of_its_user(tmp_path: Path) -> None:
    """The language is the one that the user chose, else the one of the browser; other platforms' texts are left out."""
    async with running_web_app(tmp_path) as app:
        german = {"Accept-Language": "de-AT, en;q=0.5"}

        async def texts(author: str) -> tuple[str, dict[str, object]]:
            async with app.session.get(f"{app.url}/api/messages?author={author}", headers=german) as response:
                answer = await response.json()
                return answer["language"], answer["texts"]

        assert await texts("Ann") == (
            "de", {id_: found for id_, found in catalog("de").items() if id_.startswith(("web-", "button-", "origin-"))}
        )  # fmt: skip
        thread = await app.thread()
        await app.command(thread, "settings", do="set", scope="me", key="language", value="fr")
        language, french = await texts("Ann")
        assert (language, french["web-send"]) == ("fr", "Envoyer")
        assert (await texts("Bob"))[0] == "de"
        assert (await app.get("/api/messages"))[1]["language"] == "en"
