"""Limits, the content filter and access, as pure functions."""

import time

import pytest

from bot.conversation.permissions import CHECK_TIMEOUT, check_access, check_blocked_words, check_limits
from bot.domain import MANAGER, Person, ThreadKey
from bot.errors import Refused
from bot.formatting import replace_time_markers
from bot.settings.rules import MAX_LIST_LENGTH, AvailableModels, validate_value
from bot.settings.values import Scope, Settings
from bot.storage.usage import DAY, DailyUsage
from tests.support.doubles import ANN, BOB, THREAD

NOON = 1_800_000_000.0
SLACK = ThreadKey("slack", "T1", "C1", "17.5")
DISCORD = ThreadKey("discord", "9", "1", "2")


def refusal(settings: Settings, used: DailyUsage, wanted: int = 1) -> str:
    """Why so many more images are too many; empty if they are not."""
    try:
        check_limits(settings, used, wanted)
    except Refused as refused:
        return str(refused)
    return ""


def forbidden(rule: str, *prompts: str) -> str:
    """Why a prompt is refused; empty if it is not."""
    try:
        check_blocked_words(Settings(blocked_words=rule), *prompts)
    except Refused as refused:
        return str(refused)
    return ""


def has_access(person: Person, thread: ThreadKey = THREAD, *, allowed: str = "", blocked: str = "") -> bool:
    """Whether the bot answers the user there."""
    try:
        check_access(Settings(allowed=allowed, blocked=blocked), thread, person)
    except Refused:
        return False
    return True


# How many


@pytest.mark.parametrize("most", [0, 1, 3])
@pytest.mark.parametrize("had", range(5))
@pytest.mark.parametrize("wanted", [1, 2, 4])
@pytest.mark.parametrize("key", ["daily_limit", "server_daily_limit", "max_concurrent"])
def test_no_limit_is_exceeded(key: str, wanted: int, had: int, most: int) -> None:
    """Used and wanted images together are at most the limit; 0 is no limit."""
    settings, used = {
        "daily_limit": (Settings(daily_limit=most), DailyUsage(by_user=had)),
        "server_daily_limit": (Settings(server_daily_limit=most), DailyUsage(by_server=had)),
        "max_concurrent": (Settings(max_concurrent=most), DailyUsage(unfinished=had)),
    }[key]
    assert bool(refusal(settings, used, wanted)) == (most > 0 and had + wanted > most)


def test_the_limits_are_independent() -> None:
    """Images of others do not count as one's own; finished images do not count as unfinished."""
    settings = Settings(daily_limit=2, server_daily_limit=10, max_concurrent=1)
    assert not refusal(settings, DailyUsage(by_user=1, by_server=9, unfinished=0))
    assert "Your limit is 2 images a day" in refusal(settings, DailyUsage(by_user=2, by_server=2))
    assert "This server's limit is 10 images a day" in refusal(settings, DailyUsage(by_user=0, by_server=10))
    assert "You have 1 image in progress" in refusal(settings, DailyUsage(unfinished=1))


def test_the_sentence_says_when_the_next_image_is_free() -> None:
    """A day after the oldest was ordered, as a time marker of the platform."""
    mine = refusal(Settings(daily_limit=3), DailyUsage(by_user=3, oldest_by_user=NOON))
    ours = refusal(Settings(server_daily_limit=1), DailyUsage(by_server=1, oldest_by_server=NOON))

    def as_discord(at: float) -> str:
        return f"<t:{at:.0f}:R>"

    assert replace_time_markers(mine, as_discord) == (
        f"Your limit is 3 images a day. The next one is free <t:{NOON + DAY:.0f}:R>."
    )
    assert replace_time_markers(ours, as_discord) == (
        f"This server's limit is 1 image a day. The next one is free <t:{NOON + DAY:.0f}:R>."
    )
    hours = refusal(Settings(daily_limit=1), DailyUsage(by_user=1, oldest_by_user=time.time() - DAY + 3 * 3600))
    assert replace_time_markers(hours) == "Your limit is 1 image a day. The next one is free in about 3 hr."


def test_the_sentence_says_how_many_images_are_left() -> None:
    """If only the number in one request is too high, fewer can be requested now."""
    assert refusal(Settings(daily_limit=3), DailyUsage(), 4) == (
        "Your limit is 3 images a day. You can ask for 3 more now."
    )
    assert refusal(Settings(server_daily_limit=3), DailyUsage(by_user=0, by_server=2), 2) == (
        "This server's limit is 3 images a day. You can ask for 1 more now."
    )
    assert refusal(Settings(max_concurrent=2), DailyUsage(), 4) == (
        "Your limit is 2 images at a time. You can ask for 2 more now."
    )


# Which words


@pytest.mark.parametrize(
    ("rule", "prompt", "held"),
    [
        ("gore", "a GORE scene", True),
        ("gore", "gore!", True),
        ("gore", "(gore)", True),
        ("gore", "gorey", False),
        ("gore", "dalgore", False),
        ("the mayor", "The Mayor, asleep", True),
        ("the mayor", "the old mayor", False),
        ("a.b", "a.b", True),
        ("a.b", "axb", False),
        ("血", "一滴血", False),  # a word within a word: where there are no spaces, a pattern is needed
        ("/血/", "一滴血", True),
        ("straße", "STRASSE", False),
        ("straße", "Straße", True),
        ("/gr[ae]y/", "a GRAY cat", True),
        ("/gr[ae]y/", "greyish", True),
        ("/gr[ae]y/", "green", False),
        ("  gore  \n\n", "gore", True),
        ("/", "a / b", True),
        ("//", "a // b", True),
        ("//", "a b", False),
        ("one\ntwo\nthree", "number two", True),
        ("one\ntwo\nthree", "number four", False),
        ("", "anything", False),
        ("gore", "", False),
    ],
)
def test_the_content_filter_has_words_and_patterns(rule: str, prompt: str, held: bool) -> None:
    """A word matches as a whole, a pattern anywhere, both in any case."""
    assert bool(forbidden(rule, prompt)) == held


def test_each_prompt_is_checked() -> None:
    """One of several images is enough."""
    assert forbidden("gore", "a cat", "", "some gore")
    assert not forbidden("gore", "a cat", "a dog")


def test_a_blocked_word_is_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    """Neither to the user nor in the log, for words and patterns."""
    with caplog.at_level("DEBUG"):
        word, pattern = forbidden("zorblax", "a Zorblax"), forbidden("/zorb.ax/", "a zorbLax")
    assert word == "The content filter of this server blocks a word in this prompt."
    assert pattern == "The content filter of this server blocks a pattern in this prompt."
    assert "orb" not in caplog.text.lower()


@pytest.mark.parametrize(
    ("line", "prompt"),
    [
        ("/(a+)+$/", "a" * 32_000 + "b"),
        ("/(x+x+)+y/", "x" * 8_000),
        ("/((a{1,1000}){1,1000}){1,1000}b/", "a" * 8_000),
    ],
)
def test_a_pattern_that_is_too_slow_is_abandoned(line: str, prompt: str) -> None:
    """It blocks nothing, and the check of all patterns has a time limit."""
    many = "\n".join([line] * (MAX_LIST_LENGTH // (len(line) + 1)))
    for rule in (line, many, validate_value("blocked_words", many, Scope.SERVER, AvailableModels())):
        began = time.process_time()
        assert not forbidden(rule, prompt, prompt, prompt, prompt)
        assert time.process_time() - began < CHECK_TIMEOUT + 0.5


def test_words_are_checked_after_slow_patterns() -> None:
    """A blocked word after slow patterns is still found."""
    rule = "\n".join(["/(a+)+$/"] * 200) + "\ngore"
    assert "blocks a word" in forbidden(rule, "a" * 8_000 + " gore")


def test_an_invalid_pattern_is_refused() -> None:
    """One that an older version stored does no harm."""
    for wrong in ("/(/", "  /[a/  ", "gore\n/*/"):
        with pytest.raises(Refused, match="is not valid"):
            validate_value("blocked_words", wrong, Scope.SERVER, AvailableModels())
    assert not forbidden("/(/", "(")
    valid = "/gr[ae]y/\n/\\p{Lu}x/\n//\n("
    assert validate_value("blocked_words", valid, Scope.CHANNEL, AvailableModels()) == valid


# Who at all


@pytest.mark.parametrize(
    ("listed", "person", "thread", "named"),
    [
        ("<@1>", Person("1", "Ann"), THREAD, True),
        ("<@!1>", Person("1", "Ann"), THREAD, True),
        ("<@12>", Person("1", "Ann"), THREAD, False),
        ("1", Person("1", "Ann"), THREAD, True),
        ("<@&5>", Person("1", "Ann", frozenset({"5"})), THREAD, True),
        ("<@&5>", Person("1", "Ann", frozenset({"6"})), THREAD, False),
        ("<#1>", Person("7", "Ann"), DISCORD, True),
        ("<#2>", Person("7", "Ann"), DISCORD, False),  # a thread is not listed, its channel is
        ("<@U1>", Person("U1", "Ann"), SLACK, True),
        ("<@U1|ann smith>", Person("U1", "Ann"), SLACK, True),
        ("<#C1|x>", Person("U9", "Ann"), SLACK, True),
        ("<#C1>", Person("U9", "Ann"), SLACK, True),
        ("<#C12|C1>", Person("U9", "Ann"), SLACK, False),
        ("C1", Person("U9", "Ann"), SLACK, True),
        ("<!subteam^S1|@leads>", Person("U9", "Ann", frozenset({"S1"})), SLACK, True),
        ("<!subteam^S1>", Person("U9", "Ann", frozenset({"S12"})), SLACK, False),
        ("@leads", Person("U9", "Ann", frozenset({"S1", "@leads"})), SLACK, True),
        ("<@3>, <#9>;\n<@&8>  7", Person("7", "Ann"), THREAD, True),
        ("<@3><@7>", Person("7", "Ann"), THREAD, True),
        ("@ann #channel-x", ANN, THREAD, False),
        ("Ann", ANN, THREAD, False),  # a name is no id
    ],
)
def test_lists_contain_mentions_and_ids(listed: str, person: Person, thread: ThreadKey, named: bool) -> None:
    """Of Discord and of Slack; blocked users get no answer, allowed users do."""
    assert has_access(person, thread, blocked=listed) == (not named)
    assert has_access(person, thread, allowed=listed) == named


def test_managers_are_always_answered() -> None:
    """Or they could lock themselves out."""
    manager = Person("1", "Ann", frozenset({MANAGER, "5"}))
    assert has_access(manager, blocked="<@1> <@&5>", allowed="<@2>")
    assert has_access(BOB, blocked=f"bob {THREAD.channel}")


def test_the_name_of_the_manager_role_cannot_be_listed() -> None:
    """It is not a role of the platform."""
    assert not has_access(Person("1", "manager"), blocked="1")
    assert not has_access(Person("1", "Ann", frozenset({"5"})), allowed="manager")


def test_a_user_in_both_lists_is_not_answered() -> None:
    """Empty lists give access to all users."""
    assert not has_access(ANN, blocked="ann", allowed="ann")
    assert not has_access(ANN, blocked="ann", allowed=THREAD.channel)
    assert has_access(ANN)
    assert has_access(ANN, blocked=" ,; \n", allowed="\n")
