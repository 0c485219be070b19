"""The parser and the payloads of the Slack adapter: no socket, no time."""

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.slack import blocks, modals, parse
from adapters.slack.parse import MessageRef, SlackMessage
from adapters.slack.rate_limits import RateLimits
from bot.domain import (
    MANAGER,
    OWNER,
    Action,
    Button,
    Failed,
    ImageRequest,
    Operation,
    Picture,
    PicturePart,
    Queued,
    Rendered,
    Rendering,
    Sampling,
    TextPart,
    View,
)
from bot.errors import Refused
from bot.notices import notice
from bot.settings.values import CommandResponse, ReplyMode, Scope, SettingField, SettingsPanel
from tests.support.slack_server.contract.schemas import read
from tests.support.slack_server.faults import Call
from tests.support.slack_server.pings import called
from tests.support.thorough import examples

BOT = "U0BOT"
ODD = st.text(st.sampled_from("ab <>&@!#*`_~|\n\u200b😀:[]()-") | st.characters(), max_size=200)


def event(**more: Any) -> dict[str, Any]:
    """A mention."""
    output = {"type": "message", "user": "U1", "channel": "C1", "ts": "1.000001", "text": f"<@{BOT}> hi"}
    return {"team_id": "T1", "event": output | more}


def picture(number: int, prompt: str = "a sun") -> Picture:
    """A picture."""
    return Picture(
        number,
        f"{number:064x}",
        8,
        8,
        prompt,
        ImageRequest(0, Operation.GENERATE, prompt, sampling=Sampling(seed=1)),
        model="m",
    )


# What comes in


@pytest.mark.parametrize(
    "more",
    [
        {"bot_id": "B1"},
        {"user": BOT},
        {"user": None},
        {"subtype": "channel_join"},
        {"subtype": "bot_message"},
        {"ts": None},
        {"ts": "now"},
        {"channel": 7},
        {"channel": "C/1"},
    ],
)
def test_messages_that_no_user_wrote_are_ignored(more: dict[str, Any]) -> None:
    """Also malformed events that Slack never sends."""
    assert parse.message(event(**more), BOT) is None and parse.message({"team_id": "T1"}, BOT) is None


def test_a_message_belongs_to_a_thread() -> None:
    """The thread, else the message itself, else the direct conversation."""
    keys = [
        parse.message(event(**more), BOT)
        for more in (
            {},
            {"thread_ts": "0.5"},
            {"channel": "D1"},
            {"channel": "D1", "thread_ts": "0.5"},
            {"channel_type": "im"},
        )
    ]
    assert [each and each.key.thread for each in keys] == ["1.000001", "0.5", "direct", "0.5", "direct"]


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        (f"<@{BOT}> draw  it", "draw it"),
        (f"hey <@{BOT}>, <@U1> and <@U2|bo>", "hey , @Ana and @bo"),
        ("<@U3> in <#C1|general>", "@somebody in #general"),
        ("a &lt;b&gt; &amp;amp; c", "a <b> &amp; c"),
        ("<!here> <!channel|channel> <!subteam^S1|@team>", "@here @channel @team"),
        ("<!date^1392734382^{date}|on Tuesday>", "on Tuesday"),
        ("<https://a.b/c> <https://a.b|a.b> <https://a.b|this>", "https://a.b/c https://a.b this (https://a.b)"),
    ],
)
def test_text_is_read_as_users_see_it(raw: str, plain: str) -> None:
    """Names in place of ids, unescaped once."""
    assert parse.text(raw, BOT, {"U1": "Ana"}) == plain


@settings(deadline=None)
@given(ODD)
def test_escaped_text_is_read_back(typed: str) -> None:
    """What Slack escapes becomes what the user wrote."""
    escaped = typed.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert parse.text(escaped, BOT, {}) == re.sub(r"[ \t]{2,}", " ", typed).strip()


@pytest.mark.parametrize(
    ("text", "ours", "reply_mode", "wanted"),
    [
        (f"<@{BOT}> hi", False, ReplyMode.NEVER, True),
        ("hi", False, ReplyMode.THREADS, False),
        ("hi", True, ReplyMode.THREADS, True),
        ("hi", True, ReplyMode.IMAGES, False),
        ("make #2 red", True, ReplyMode.IMAGES, True),
        ("<@U2> hi", True, ReplyMode.THREADS, False),
        ("<!here> look", True, ReplyMode.THREADS, False),
        ("<!date^1^{date}|today> then", True, ReplyMode.THREADS, True),
        (" ", True, ReplyMode.THREADS, False),
    ],
)
def test_which_messages_are_for_the_bot(text: str, ours: bool, reply_mode: ReplyMode, wanted: bool) -> None:
    """Mentions always; in its threads by `reply_mode`, unless another user is mentioned."""
    said = SlackMessage("T1", "C1", "1.1", None, "U1", text, is_direct=False)
    assert parse.is_for_bot(said, BOT, reply_mode, ours) == wanted
    assert not wanted or parse.may_concern(said, BOT, ours)


@pytest.mark.parametrize(
    ("words", "output"),
    [
        ("help", ("help", {})),
        ("!Help", ("help", {})),
        ("/queue", ("queue", {})),
        ("help me draw", None),
        ("cancel all", ("cancel", {"whose": "all"})),
        ("cancel that", None),
        ("forget it", None),
        ("forget settings", ("forget", {"what": "settings"})),
        ("pictures of cats please", None),
        ("settings", ("settings", {})),
        ("settings channel", ("settings", {"scope": "channel"})),
        ("settings set aspect_ratio 16:9", ("settings", {"do": "set", "key": "aspect_ratio", "value": "16:9"})),
        (
            "settings set persona A wise  owl. thread",
            ("settings", {"do": "set", "key": "persona", "value": "A wise  owl.", "scope": "thread"}),
        ),
        ("settings set aspect_ratio", ("settings", {"do": "set", "key": "aspect_ratio", "value": ""})),
        (
            "settings reset aspect_ratio channel",
            ("settings", {"do": "reset", "key": "aspect_ratio", "scope": "channel"}),
        ),
        ("settings reset", ("settings", {"do": "reset", "key": "", "scope": "me"})),
        ("settings of this camera are wrong", None),
    ],
)
def test_commands_in_messages(words: str, output: tuple[str, dict[str, str]] | None) -> None:
    """Only the plain word is a command, so that a sentence never deletes a thread."""
    found = parse.command(words)
    assert (found and (found[0], parse.arguments(*found))) == output


@pytest.mark.parametrize("seed", [0, 7, 1_946_572_819, 2**31 - 1])
def test_imagine_accepts_every_seed_of_an_image(seed: int) -> None:
    """Half of the seeds that the bot chooses have ten digits."""
    assert parse.imagine(f"a fox --seed {seed}")[0].sampling.seed == seed


@settings(deadline=None)
@given(st.text(max_size=80))
def test_any_imagine_text_is_parsed_or_refused(words: str) -> None:
    """It never raises another error."""
    try:
        request, _ = parse.imagine(words)
    except Refused:
        return
    assert request.prompt.strip() and len(request.prompt) <= len(words)


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://files.slack.com/files-pri/T1-F1/x.png", True),
        ("https://slack.com/x", True),
        ("http://files.slack.com/x", False),
        ("https://slack.com.evil.org/x", False),
        ("https://evilslack.com/", False),
        ("https://evil.org/slack.com", False),
        ("https://slack.com@evil.org/x", False),
        ("http://127.0.0.1:9/x", True),
        ("http://127.0.0.1:90/x", False),
        ("", False),
    ],
)
def test_the_token_is_sent_only_to_slack(url: str, may: bool) -> None:
    """By https, or to the server of the configured API address."""
    assert parse.is_trusted_url(url, "http://127.0.0.1:9/api/") == may


def test_an_unreadable_format_is_read_from_its_thumbnail() -> None:
    """Such as HEIC of a phone; a deleted file is no image."""
    heic = {"id": "F1", "mimetype": "image/heic", "url_private": "https://files.slack.com/a.heic"}
    assert parse.is_image(heic) and parse.download_url(heic) == ""
    assert parse.download_url(heic | {"thumb_480": "s", "thumb_1024": "l"}) == "l"
    assert parse.download_url(heic | {"mimetype": "image/png"}) == heic["url_private"]
    assert not parse.is_image({"id": "F1", "mode": "tombstone"}) and parse.is_image({"id": "F1"})


def test_users_have_their_display_name() -> None:
    """Admins are managers."""
    user = {"id": "U1", "name": "ana", "profile": {"display_name": "", "real_name": "Ana B."}}
    assert parse.person(user).name == "Ana B." and not parse.person(user).roles
    assert parse.person(user | {"is_admin": True}).roles == {MANAGER}
    assert parse.person(user | {"is_owner": True}).roles == {MANAGER, OWNER}
    assert parse.person({"id": "U1"}).name == "Somebody"


def test_a_press_has_a_message_reference() -> None:
    """On a message and an ephemeral message, not on the Home tab; it survives a form."""
    message = {"team": {"id": "T1"}, "channel": {"id": "D1"}, "message": {"ts": "2.2", "thread_ts": "2.2"}}
    assert parse.message_ref(message) == MessageRef("T1", "D1", "2.2", "2.2")
    container = {"channel_id": "C1", "message_ts": "3.3", "thread_ts": "1.1", "is_ephemeral": True}
    found = parse.message_ref({"user": {"team_id": "T1"}, "container": container})
    assert found and found.key.thread == "1.1" and MessageRef.parse(str(found)) == found
    assert parse.message_ref({"team": {"id": "T1"}, "container": {"type": "view"}}) is None


# What goes out


def faults(blocks: list[Any]) -> list[str]:
    """Return what Slack would refuse; empty without its reference."""
    contract = read()
    return list(contract.blocks.faults(blocks)) if contract else []


LONG = "(long)"  # stands for words that no single message can hold
PARTS = st.lists(
    st.builds(TextPart, ODD.filter(str.strip) | st.just(LONG))
    | st.builds(
        lambda number, state, prompt: PicturePart(
            number, number, Operation.GENERATE, prompt, Rendered(picture(number, prompt)) if state is None else state
        ),
        st.integers(1, 99),
        st.sampled_from([None, Queued(0), Queued(2, 30.0), Rendering(0.55), Failed("It rains.")]),
        ODD,
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow])
@given(PARTS, st.booleans(), ODD)
def test_any_view_is_valid_for_slack_and_mentions_nobody(parts: list[Any], final: bool, status: str) -> None:
    """For any length and content."""
    numbers = {part.number for part in parts if isinstance(part, PicturePart) and isinstance(part.state, Rendered)}
    buttons = [Button(action, f"{action} #{n}", str(n)) for n in numbers for action in (Action.VARY, Action.DELETE)]
    parts = [TextPart("word " * 3_000) if part == TextPart(LONG) else part for part in parts]
    view = View(tuple(parts), status, (*buttons, Button(Action.STOP, "Stop", "r")), final)
    for card in blocks.messages(view):
        filled = [
            blocks.image(block.picture, "F00000001") if isinstance(block, blocks.PicturePlaceholder) else block
            for block in card.blocks
        ]
        assert faults(filled) == [] and 0 < len(card.text) <= 4_000
        call = Call("chat.update", {"text": card.text, "blocks": filled}, "json", None, 0.0)
        assert list(called(call)) == []


@settings(deadline=None)
@given(st.lists(ODD, min_size=1, max_size=6))
def test_growing_text_changes_only_its_end(pieces: list[str]) -> None:
    """Streamed text is never taken back."""
    shown = ""
    for end in range(1, len(pieces) + 1):
        now = blocks.streamable_text(View((TextPart("".join(pieces[:end])),))) or ""
        assert now.startswith(shown)
        shown = now


@settings(deadline=None)
@given(ODD)
def test_notes_and_sections_mention_nobody(text: str) -> None:
    """Ephemeral messages and the Home tab."""
    for call in (blocks.message_body(text or "x"), {"blocks": blocks.sections(text)}):
        assert list(called(Call("chat.postEphemeral", call, "json", None, 0.0))) == []
        assert faults(call["blocks"]) == []


@pytest.mark.parametrize("scope", [scope for scope in Scope if scope is not Scope.CATEGORY])
def test_the_settings_form_is_valid_for_slack(scope: Scope) -> None:
    """With menus, texts and numbers of any content."""
    fields = (
        SettingField("aspect_ratio", "Aspect ratio", "Width to height.", "default", "default", ("default", "1:1")),
        SettingField("persona", "Persona", "Who it is.", "p" * 2_000, "server", max_length=2_000),
        SettingField("daily_limit", "Pictures a day", "How many.", "0", "default", maximum=100_000),
        SettingField("gone", "Chat model", "Who answers.", "away", "server", ("default",)),
    )
    spot = json.dumps(["x" * 60, "me"])
    contract = read()
    for view in (
        modals.settings_form(SettingsPanel(scope, fields), spot, list(Scope), "Told."),
        modals.home_tab(str(notice("slack-help")), "", "You"),
        modals.edit_form(1, "a sun " * 1_000, spot),
        modals.edit_form(1, "", spot),
        modals.about_form(("edit-image", "edit-question", "edit-example"), [("#1", "1"), ("n" * 200, "F1")], spot),
    ):
        assert contract is None or list(contract.blocks.view_faults(view)) == []


def test_a_command_response_becomes_text() -> None:
    """For places without a form."""
    panel = SettingsPanel(
        Scope.PERSON, (SettingField("aspect_ratio", "Aspect ratio", "x", "", "default", ("default",)),)
    )
    assert "**Aspect ratio** (`aspect_ratio`): nothing" in blocks.answer_text(CommandResponse("", panel))
    assert blocks.answer_text(CommandResponse("")) == "There is nothing to show."


async def test_progress_leaves_room_for_necessary_calls() -> None:
    """Each method has its own limit, and each channel its posts."""
    budget = RateLimits()
    for _ in range(13):
        await budget.acquire("chat.startStream", "T1")
    assert budget.allows("chat.startStream", "T1") and not budget.allows("chat.startStream", "T1", share=0.7)
    assert budget.allows("chat.startStream", "T2", share=0.7) and budget.allows("chat.update", "T1", share=0.7)
    for _ in range(3):
        await budget.acquire("chat.postMessage", "T1", "C1")
    assert not budget.allows("chat.postMessage", "T1", "C1") and budget.allows("chat.postMessage", "T1", "C2")
