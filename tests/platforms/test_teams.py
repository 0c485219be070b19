"""What a team sets, may and takes away is the same on the web page, on Discord and on Slack."""

from pathlib import Path

from bot.domain import Action, Operation
from tests.platforms.test_same_conversation import everywhere, tree
from tests.support.same_conversation.script import (
    WHEN,
    Begin,
    Change,
    Choose,
    Imagine,
    LetGo,
    Look,
    Outcome,
    Overhear,
    Press,
    Refused,
    Say,
    Show,
    Take,
)

NOT_LET = "A manager has blocked you or this channel for me."
OTHERS_LET = "I am not enabled for you or in this channel. Ask a manager."


def job(outcome: Outcome, what: str) -> list[object]:
    """One thing of every job, by number."""
    names = ("number", "operation", "prompt", "refined", "parent", "change", "ratio", "negative", "telling")
    return [each[names.index(what)] for each in outcome.jobs]


async def test_how_pictures_came_about_is_drawn_and_taken_away(tmp_path: Path) -> None:
    """The contact sheet with its text, and a ZIP with originals, who asked in which words, and a page."""
    outcome = await everywhere(
        tmp_path,
        [
            Say("Ann", "draw a lighthouse", ("Here: ", "<image>a white lighthouse</image>")),
            Press("Bo", Action.VARY, 1),
            Change("Cid", 1, "make it green", ("<edit>a green lighthouse</edit>",)),
            Say("Ann", "make it snow", ("<edit>a blue square in the snow</edit>",), ("blue",)),
            Take("Cid", "images"),
            Take("Ann", "export"),
            Refused(Press("Ann", Action.DELETE, 3), of_rank=True),
            Press("Cid", Action.DELETE, 3),
            Take("Ann", "images"),
        ],
    )
    lines = [
        "- **#1** generated: a white lighthouse",
        "  - **#2** variation of #1: a white lighthouse",
        "  - **#3** edit of #1: a green lighthouse",
        "- **#4** uploaded: An uploaded image",
        "  - **#5** edit of #4: a blue square in the snow",
    ]
    packed = "4 messages and 5 images. Unpack the file and open index.html."
    assert outcome.output == ["\n".join(lines), packed, "\n".join(lines[:2] + lines[3:])]
    assert outcome.ranked == ["Only Cid and managers can do this."]
    (sheet, whole), (package, (names, output, page)), (_, less) = outcome.attachments
    assert (sheet, package) == ("pictures.png", "thread.zip")
    assert whole[0] == less[0] and whole[1] > less[1] > 300
    assert names == ["index.html", "pictures.json", *(f"pictures/{number:04}.png" for number in range(1, 6))]
    assert [(each["number"], each["operation"], each["parent"], each["asked_by"]) for each in output] == [
        (1, "generate", None, "Ann"),
        (2, "vary", 1, "Bo"),
        (3, "edit", 1, "Cid"),
        (4, "upload", None, "Ann"),
        (5, "edit", 4, "Ann"),
    ]
    assert [each["asked_in_words"] for each in output][::2] == ["draw a lighthouse", "make it green", "make it snow"]
    assert "<h2>Cid</h2><p>make it green</p>" in page and '<img src="pictures/0003.png"' in page


async def test_the_narrowest_choice_holds_and_says_where_it_comes_from(tmp_path: Path) -> None:
    """Server, channel, thread and person, each set and one taken back; what cannot be is told with what can."""
    outcome = await everywhere(
        tmp_path,
        [
            Choose("Bo", "aspect_ratio", "3:2"),
            Choose("Bo", "persona", "You are a pirate of few words."),
            Say("Ann", "one", ("<image>a sun</image>",)),
            Choose("Bo", "aspect_ratio", "16:9", "channel"),
            Choose("Bo", "persona", "You are a poet.", "channel"),
            Say("Ann", "two", ("<image>a moon</image>",)),
            Choose("Cid", "aspect_ratio", "2:3", "thread"),
            Choose("Ann", "aspect_ratio", "1:1", "me"),
            Say("Ann", "three", ("<image>a star</image>",)),
            Say("Cid", "four", ("<image>a comet</image>",)),
            Show("Ann", "aspect_ratio", "server"),
            Show("Ann", "aspect_ratio", "channel"),
            Show("Ann", "aspect_ratio", "thread"),
            Show("Ann", "aspect_ratio", "me"),
            Show("Ann", "style", "me"),
            Choose("Ann", "aspect_ratio", "", "me"),
            Show("Ann", "aspect_ratio", "me"),
            Say("Ann", "five", ("<image>a cloud</image>",)),
            Refused(Choose("Ann", "aspect_ratio", "1:1", "channel"), of_rank=True),
            Refused(Choose("Ann", "aspect_ratio", "5:4", "me")),
            Refused(Choose("Ann", "colour", "red", "me")),
            Refused(Choose("Ann", "persona", "x", "me")),
            Refused(Choose("Bo", "daily_limit", "many")),
        ],
    )
    assert job(outcome, "ratio") == ["3:2", "16:9", "1:1", "2:3", "2:3"]
    sources = [("3:2", "server"), ("16:9", "channel"), ("2:3", "thread"), ("1:1", "me")]
    assert outcome.held == [
        *(("aspect_ratio", *each) for each in sources),
        ("style", "default", "default"), ("aspect_ratio", "2:3", "thread"),
    ]  # fmt: skip
    assert ["pirate" in received[0][1] for received in outcome.received] == [True, False, False, False, False]
    assert ["poet" in received[0][1] for received in outcome.received] == [False, True, True, True, True]
    assert outcome.ranked == [
        "Only managers can change the settings of this channel. You can change your own settings with the scope `me`."
    ]
    shape, unknown, persona, daily = outcome.output
    assert shape.startswith("Aspect ratio must be one of default, 1:1, 3:2,") and shape.endswith(", not “5:4”.")
    assert unknown.startswith("There is no setting “colour”. The settings are chat_model,")
    assert persona.startswith("Persona can be set for server,") and persona.endswith(", not for me.")
    assert daily == "Daily limit per user must be a whole number from 0 to 100,000, not “many”."


async def test_who_may_change_settings_is_a_setting(tmp_path: Path) -> None:
    """Everybody may change a channel's where managers say so, but not lift its limits or its rule."""
    outcome = await everywhere(
        tmp_path,
        [
            Choose("Bo", "who_can_edit_settings", "everyone"),
            Choose("Ann", "aspect_ratio", "3:2", "channel"),
            Refused(Choose("Ann", "blocked_words", "sun", "channel"), of_rank=True),
            Refused(Choose("Ann", "who_can_edit_settings", "everyone"), of_rank=True),
            Say("Cid", "draw", ("<image>a sun</image>",)),
        ],
    )
    assert job(outcome, "ratio") == ["3:2"]
    guarded, server = outcome.ranked
    assert guarded == "Only managers can change the content filter and the limits."
    assert server.startswith("Only managers can change the settings of this server.")


async def test_whom_the_managers_name_manages_too(tmp_path: Path) -> None:
    """By a mention; as long as they are named."""
    outcome = await everywhere(
        tmp_path,
        [
            Choose("Bo", "managers", "{Cid}"),
            Choose("Cid", "aspect_ratio", "3:2", "channel"),
            Say("Ann", "draw", ("<image>a sun</image> <image>a moon</image>",)),
            Press("Cid", Action.DELETE, 1),
            Choose("Bo", "managers", ""),
            Refused(Press("Cid", Action.DELETE, 2), of_rank=True),
            Refused(Choose("Cid", "aspect_ratio", "1:1", "channel"), of_rank=True),
        ],
    )
    assert job(outcome, "ratio") == ["3:2", "3:2"] and outcome.shown == [2]
    assert outcome.ranked[0] == "Only Ann and managers can do this."
    assert outcome.reasons == ["Deleted by Cid."]


async def test_lists_say_who_is_answered(tmp_path: Path) -> None:
    """Somebody is blocked and let in again; then only one person is allowed, then everybody in this channel."""
    outcome = await everywhere(
        tmp_path,
        [
            Choose("Bo", "blocked", "{Cid}"),
            Say("Ann", "draw", ("<image>a sun</image>",)),
            Refused(Say("Cid", "draw", ()), of_rank=True),
            Choose("Bo", "blocked", ""),
            Say("Cid", "draw", ("<image>a moon</image>",)),
            Choose("Bo", "allowed", "{Ann}"),
            Refused(Say("Cid", "draw", ()), of_rank=True),
            Say("Ann", "draw", ("<image>a star</image>",)),
            Choose("Bo", "allowed", "{here}"),
            Say("Cid", "draw", ("<image>a comet</image>",)),
            Choose("Bo", "blocked", "{here}"),
            Refused(Say("Ann", "draw", ()), of_rank=True),
            Say("Bo", "draw", ("<image>a cloud</image>",)),
        ],
    )
    assert outcome.ranked == [NOT_LET, OTHERS_LET, NOT_LET]
    assert [reply[0] for reply in outcome.replies] == ["Ann", "Cid", "Ann", "Cid", "Bo"]


async def test_limits_are_shown_given_back_raised_and_lifted(tmp_path: Path) -> None:
    """What fails is given back; managers raise and lift a limit; usage tells of both pictures and words."""
    outcome = await everywhere(
        tmp_path,
        [
            Choose("Bo", "daily_limit", "2"),
            Say("Ann", "draw", ("<image>what breaks</image><image>a sun</image>",)),
            Say("Ann", "draw", ("<image>a moon</image>",)),
            Refused(Press("Ann", Action.VARY, 2)),
            Choose("Bo", "daily_limit", "3"),
            Press("Ann", Action.VARY, 2),
            Refused(Press("Ann", Action.VARY, 2)),
            Choose("Bo", "daily_limit", ""),
            Press("Ann", Action.VARY, 2),
            Choose("Bo", "server_daily_limit", "4"),
            Refused(Press("Cid", Action.VARY, 2)),
            Look("Bo", "usage"),
            Choose("Bo", "server_daily_limit", "0"),
            Choose("Bo", "max_concurrent", "2"),
            Begin("Cid", "draw", ("<image>a star</image><image>a comet</image>",), frozenset({"a star", "a comet"})),
            Refused(Press("Cid", Action.VARY, 2)),
            LetGo(),
            Press("Cid", Action.VARY, 2),
        ],
    )
    two, three, all_, usage, busy = outcome.output
    assert two == f"Your limit is 2 images a day. The next one is free {WHEN}."
    assert three == f"Your limit is 3 images a day. The next one is free {WHEN}."
    assert all_ == f"This server's limit is 4 images a day. The next one is free {WHEN}."
    assert busy.startswith("You have 2 images in progress, and your limit is 2 at a time")
    mine, everybody, together = usage.splitlines()
    assert mine == "You: 0 images in the last day, 0 in the last 30 days."
    assert everybody.startswith("Everybody here: 4 images in the last day, 4 in the last 30 days. Chat model: about ")
    assert everybody.endswith(" tokens.")
    assert together == "The limit of this server is 4 images in 24 hours. Used: 4."
    assert outcome.reasons == ["It broke."]
    assert [number for number, *_ in tree(outcome)] == [2, 3, 4, 5, 6, 7, 8]


async def test_patterns_and_edits_fall_under_the_rule_too(tmp_path: Path) -> None:
    """For wishes, edits, and variations of what was drawn before there was a rule."""
    outcome = await everywhere(
        tmp_path,
        [
            Imagine("Ann", "a grey cat"),
            Choose("Bo", "blocked_words", "/gr[ae]y/", "channel"),
            Refused(Press("Ann", Action.REDO, 1)),
            Change("Cid", 1, "more of it", ("<edit>a very grey cat</edit>",)),
            Say("Ann", "a red one", ("<image>a red cat</image>",)),
        ],
    )
    rule = "The content filter of this server blocks a pattern in this prompt."
    assert (outcome.output, outcome.reasons) == ([rule], [rule])
    assert job(outcome, "prompt") == ["a grey cat", "a red cat"]


async def test_files_and_alternative_texts_tell_what_was_chosen(tmp_path: Path) -> None:
    """Whether the file may hold prompt and seed; what a chat model that sees says of the picture."""
    outcome = await everywhere(
        tmp_path,
        [
            Say("Ann", "draw", ("<image>a lighthouse</image>",)),
            Choose("Ann", "metadata", "off", "me"),
            Choose("Bo", "alt_text", "on", "channel"),
            Say("Ann", "draw", ("<image>a boat</image>",), seen=("A red boat on a calm sea.",)),
            Choose("Ann", "metadata", "on", "me"),
            Choose("Bo", "alt_text", "off", "channel"),
            Say("Ann", "draw", ("<image>a crab</image>",)),
        ],
    )
    assert job(outcome, "telling") == [True, False, True]
    assert outcome.alts == ["#1: a lighthouse", "#2: A red boat on a calm sea.", "#3: a crab"]


async def test_the_bot_speaks_the_language_that_was_chosen(tmp_path: Path) -> None:
    """A person's own before the server's: refusals, reasons and the words below a picture."""
    outcome = await everywhere(
        tmp_path,
        [
            Choose("Bo", "language", "de"),
            Choose("Cid", "language", "fr", "me"),
            Say("Ann", "male", ("<image>eine Sonne</image>",)),
            Choose("Bo", "daily_limit", "1"),
            Say("Ann", "male", ("<image>ein Mond</image>",)),
            Say("Cid", "dessine", ("<image>une lune</image>",)),
        ],
    )
    assert outcome.reasons == [f"Deine Grenze: 1 Bild am Tag. Das nächste ist {WHEN} frei."]
    assert "Variieren" in outcome.button_texts and "Vary" not in outcome.button_texts


async def test_what_is_answered_unasked_is_chosen(tmp_path: Path) -> None:
    """Never: neither words in its thread; pictures: those about one; buttons always work."""
    outcome = await everywhere(
        tmp_path,
        [
            Say("Ann", "draw", ("<image>a sun</image>",)),
            Choose("Bo", "reply_mode", "never"),
            Overhear("Cid", "nice, isn't it?"),
            Press("Ann", Action.VARY, 1),
            Choose("Cid", "reply_mode", "images", "thread"),
            Overhear("Cid", "very nice"),
            Change("Cid", 1, "make it red", ("<edit>a red sun</edit>",)),
            Choose("Cid", "reply_mode", "threads", "thread"),
            Say("Cid", "and a moon", ("<image>a moon</image>",)),
        ],
    )
    assert [reply[1] for reply in outcome.replies] == ["draw", "Vary #1", "make it red", "and a moon"]


async def test_a_conversation_in_place_is_the_same(tmp_path: Path) -> None:
    """Below the question instead of in a thread, where the platform has both; buttons and replies go on with it."""
    outcome = await everywhere(
        tmp_path,
        [
            Choose("Bo", "reply_in", "channel", "channel"),
            Say("Ann", "draw", ("<image>a sun</image>",)),
            Change("Cid", 1, "make it red", ("<edit>a red sun</edit>",)),
            Press("Bo", Action.VARY, 2),
        ],
    )
    assert tree(outcome) == [
        (1, None, Operation.GENERATE, "a sun"),
        (2, 1, Operation.EDIT, "a red sun"),
        (3, 2, Operation.VARY, "a red sun"),
    ]
