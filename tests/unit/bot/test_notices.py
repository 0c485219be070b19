"""Message catalogs: complete in every language, used by the program, and formatted by the rules of the language."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel import Locale

from bot.domain import Failed
from bot.errors import NotFound, Refused
from bot.notices import (
    LANGUAGES,
    Template,
    catalog,
    format_estimate,
    format_remaining,
    language_of,
    lines,
    listed,
    loaded,
    notice,
    stored,
    text,
)

IDS = sorted(catalog("en"))
OTHERS = sorted(set(LANGUAGES) - {"en"})
SOURCES = [path for folder in ("bot", "adapters", "render") for path in sorted(Path(folder).rglob("*.py"))]
PAGE = [path for ending in ("html", "js") for path in Path("adapters/web/static").glob(f"*.{ending}")]
RAISED = ("BotError", "Refused", "NotFound", "NotAllowed", "StorageError", "Unreachable", "notice")


def forms(template: Template) -> dict[str, str]:
    """The texts of a message by plural category."""
    return {"other": template} if isinstance(template, str) else dict(template)


def gaps(template: str) -> set[str]:
    """The placeholders of a text."""
    return set(re.findall(r"\{[\w:]+\}", template))


def constants(path: Path) -> Iterator[re.Pattern[str]]:
    """The strings of a module as patterns; the values of an f-string match anything."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Constant(value=str(value)):
                yield re.compile(re.escape(value))
            case ast.JoinedStr(values=values):
                fixed = [re.escape(str(v.value)) if isinstance(v, ast.Constant) else r"[\w-]+" for v in values]
                yield re.compile("".join(fixed))


def test_the_program_uses_every_message() -> None:
    """A message that nothing can show is a leftover."""
    used = {id_ for path in PAGE for id_ in re.findall(r'"([a-z0-9-]+)"', path.read_text(encoding="utf-8"))}
    for path in SOURCES:
        for pattern in constants(path):
            if re.match(r"[a-z]", pattern.pattern) and " " not in pattern.pattern:
                used |= {id_ for id_ in IDS if pattern.fullmatch(id_)}
    assert sorted(set(IDS) - used) == []


@pytest.mark.parametrize("language", OTHERS)
def test_every_language_has_the_same_messages(language: str) -> None:
    """Each id is in each catalog, with the same placeholders, and with the plural forms of its language."""
    assert sorted(catalog(language)) == IDS
    for id_ in IDS:
        english, other = forms(catalog("en")[id_]), forms(catalog(language)[id_])
        for category, template in other.items():
            assert gaps(template) == gaps(english["other"]), id_
            assert template.strip(), id_
            assert category in {*Locale(language).plural_form.tags, "other"}, id_
        assert isinstance(catalog("en")[id_], str) == isinstance(catalog(language)[id_], str), id_
        assert "other" in other, id_


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_plurals_are_chosen_by_an_argument(language: str) -> None:
    """A message with plural forms has the argument `count`."""
    for id_, template in catalog(language).items():
        if not isinstance(template, str):
            assert all("{count}" in form for form in template.values()), id_


def test_every_message_that_the_program_names_exists() -> None:
    """Errors and notices are made with ids of the catalogs."""
    missing = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            first = node.args[0]
            if name in RAISED and isinstance(first, ast.Constant) and first.value not in IDS:
                missing.append(f"{path}:{node.lineno}: {first.value!r}")
    assert missing == []


def test_a_message_has_plural_forms_and_numbers_of_its_language() -> None:
    """Babel chooses the form and formats numbers and percentages."""
    assert text(notice("images", count=1)) == "1 image"
    assert text(notice("images", count=8000)) == "8,000 images"
    assert text(notice("images", count=1), "de") == "1 Bild"
    assert text(notice("images", count=8000), "de") == "8.000 Bilder"
    assert text(notice("images", count=0), "fr") == "0 image"
    assert text(notice("images", count=1), "zh") == "1 张图片"
    assert text(notice("no-such-image", number=1234), "de") == "In diesem Thread gibt es kein Bild #1234."
    assert text(notice("position-running", fraction=0.5), "en") == "50% done"


def test_arguments_can_be_messages() -> None:
    """A message inside a message is in the same language."""
    strength = notice("method-with-strength", method=notice("method-start"), strength=0.5)
    assert text(strength) == "image to image, strength 0.5"
    assert text(strength, "de") == "Bild zu Bild, Stärke 0,5"
    assert text(listed(["a", "b", notice("button-stop")]), "de") == "a, b und Stopp"
    assert text(lines([notice("button-stop"), "x"]), "es") == "Detener\nx"


def test_a_text_and_an_unknown_id_are_shown_as_they_are() -> None:
    """A reason that an older version stored, and one of a newer worker."""
    assert text("The worker broke down.", "de") == "The worker broke down."
    assert text(notice("an id of tomorrow", count=2), "de") == "an id of tomorrow"
    assert text(notice("no-such-image"), "en") == "This thread has no image #{number:id}."
    assert text(notice("button-stop"), "xx") == "Stop"


@pytest.mark.parametrize(
    "message", [notice("images", count=2), notice("only-owner", name=notice("somebody-else")), "Old."]
)
def test_a_message_survives_the_database(message: object) -> None:
    """Notices are stored as JSON; any other text is one of an older version."""
    assert loaded(stored(message)) == message  # type: ignore[arg-type]
    assert loaded('{"id": broken') == '{"id": broken'


@pytest.mark.parametrize(
    ("seconds", "output"),
    [
        (0.2, "in 1 second"),
        (20, "in 20 seconds"),
        (60, "in 1 minute"),
        (61, "in 2 minutes"),
        (100, "in 2 minutes"),
        (120, "in 2 minutes"),
        (3600, "in 60 minutes"),
        (86_400, "in 24 hours"),
    ],
)
def test_waits_are_rounded_up(seconds: float, output: str) -> None:
    """Never a number of seconds that nobody can imagine, and never too early."""
    assert text(notice("chat-overloaded", wait=seconds)).endswith(f"Try again {output}.")


@pytest.mark.parametrize(
    ("seconds", "output"),
    [(0.3, "about 1 sec"), (3, "about 3 sec"), (21, "about 20 sec"), (100, "about 2 min"), (8000, "about 2 hr")],
)
def test_estimates_are_as_exact_as_they_can_be(seconds: float, output: str) -> None:
    """Seconds, five seconds, minutes, hours."""
    assert format_estimate(seconds) == output
    assert format_remaining(seconds) == f"in {output}"


def test_an_error_has_the_text_of_the_log_and_of_the_user() -> None:
    """`str` is English; `text` is in the language that the dispatcher sets."""
    refused = NotFound("no-such-image", number=3)
    assert str(refused) == refused.text == "This thread has no image #3."
    refused.language = "es"
    assert refused.text == "En este hilo no hay una imagen #3."
    assert Failed(refused.notice) == Failed(Refused(refused.notice).notice)


@pytest.mark.parametrize(
    ("locale", "language"), [("en-US", "en"), ("de", "de"), ("es-419", "es"), ("zh_TW", "zh"), ("ja", ""), ("", "")]
)
def test_the_language_of_a_locale(locale: str, language: str) -> None:
    """Region and script do not matter; a language without a catalog is none."""
    assert language_of(locale) == language
