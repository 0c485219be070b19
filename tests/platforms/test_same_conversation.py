"""The same conversation comes to the same on the web page, on Discord and on Slack."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bot.domain import Action, Operation
from tests.support.same_conversation.platforms import PLACES
from tests.support.same_conversation.script import (
    WHEN,
    Begin,
    Change,
    Choose,
    Forget,
    Imagine,
    LetGo,
    Outcome,
    Press,
    Refused,
    Say,
    Step,
    had,
)


async def everywhere(folder: Path, steps: Sequence[Step]) -> Outcome:
    """What comes of it on every platform, which is the same; but on the page everybody manages."""
    outcomes: dict[str, Outcome] = {}
    for name, place in PLACES.items():
        (folder / name).mkdir()
        async with place(folder / name) as here:
            outcomes[name] = await had(here, steps)
    page, *others = (vars(outcomes[name]) for name in ("web", "discord", "slack"))
    button_texts = {each for outcome in outcomes.values() for each in outcome.button_texts}
    for outcome in outcomes.values():  # the page shows earlier replies in the language of now, the platforms do not
        outcome.button_texts = sorted(button_texts)
    for what in page:
        output = [each[what] for each in others] + ([] if what == "ranked" else [page[what]])
        assert all(each == output[0] for each in output), (what, output)
    assert page["ranked"] == []
    return outcomes["discord"]


def tree(outcome: Outcome) -> list[Any]:
    """Of each picture its number, what it came from, how, and its prompt."""
    return [(number, parent, operation, prompt) for number, parent, operation, prompt, *_ in outcome.pictures]


async def test_branches_from_one_picture(tmp_path: Path) -> None:
    """Two changes of the first one, one more like it, a choice, and the way back."""
    outcome = await everywhere(
        tmp_path,
        [
            Say("Ann", "draw a lighthouse", ("Here it ", "is: ", "<image>a white lighthouse</image>", " Enjoy!")),
            Say("Ann", "make it red", ("<edit>a red lighthouse</edit>",)),
            Change("Cid", 1, "make it green", ("Green: <edit>a green lighthouse</edit>",)),
            Press("Bo", Action.VARY, 1),
            Say("Ann", "I like the second one", ('Fine. <select of="2"/>',)),
            Say("Ann", "at night", ('<edit of="2">a red lighthouse at night</edit>',)),
            Say("Ann", "back to #1", ('As it was: <select of="1"/>',)),
            Say("Ann", "with a boat", ('<edit of="1">a white lighthouse and a boat</edit>',)),
            Press("Cid", Action.REDO, 1),
        ],
    )
    white, edit = "a white lighthouse", Operation.EDIT
    assert tree(outcome) == [
        (1, None, Operation.GENERATE, white),
        (2, 1, edit, "a red lighthouse"),
        (3, 1, edit, "a green lighthouse"),
        (4, 1, Operation.VARY, white),
        (5, 2, edit, "a red lighthouse at night"),
        (6, 1, edit, "a white lighthouse and a boat"),
        (7, None, Operation.GENERATE, white),
    ]
    assert [reply[0] for reply in outcome.replies] == ["Ann", "Ann", "Cid", "Bo", "Ann", "Ann", "Ann", "Ann", "Cid"]


async def test_uploads_and_several_pictures_in_one_reply(tmp_path: Path) -> None:
    """Words between pictures, a change of one that the same reply made, one deleted, and asked for again."""
    outcome = await everywhere(
        tmp_path,
        [
            Say("Ann", "make it snow", ("<edit>a blue square in the snow</edit>",), ("blue",)),
            Say(
                "Ann", "a sun and a moon, and the sun in red",
                ("One ", "<image>a sun</image>", " two <image>a moon</image> three ", '<edit of="3">a red sun</edit>.'),
            ),
            Press("Ann", Action.DELETE, 4),
            Say("Ann", "the moon again", ("Again: <image>a moon</image>",)),
            Say("Cid", "and like this one", ("<edit>a green moon</edit>",), ("lime",)),
        ],
    )  # fmt: skip
    assert tree(outcome) == [
        (1, None, Operation.UPLOAD, ""),
        (2, 1, Operation.EDIT, "a blue square in the snow"),
        (3, None, Operation.GENERATE, "a sun"),
        (5, 3, Operation.EDIT, "a red sun"),
        (6, None, Operation.GENERATE, "a moon"),
        (7, None, Operation.UPLOAD, ""),
        (8, 7, Operation.EDIT, "a green moon"),
    ]
    assert sorted(outcome.shown) == [2, 3, 5, 6, 8]


async def test_a_picture_is_made_larger_until_it_is_as_large_as_may_be(tmp_path: Path) -> None:
    """Twice as wide and high each time, up to a limit; an enlargement is one again when it is drawn again."""
    outcome = await everywhere(
        tmp_path,
        [
            Say("Ann", "draw a sun", ("<image>a sun</image>",)),
            Press("Cid", Action.UPSCALE, 1),
            Press("Ann", Action.REDO, 2),
            *(Press("Bo", Action.UPSCALE, number) for number in (2, 4, 5)),
            Refused(Press("Ann", Action.UPSCALE, 6)),
            Choose("Bo", "language", "de"),
            Refused(Press("Ann", Action.UPSCALE, 6)),
        ],
    )
    parents = {2: 1, 3: 1, 4: 2, 5: 4, 6: 5}
    larger = [(number, parent, Operation.UPSCALE, "a sun") for number, parent in parents.items()]
    assert tree(outcome) == [(1, None, Operation.GENERATE, "a sun"), *larger]
    sides = (256, 512, 512, 1024, 2048, 4096)
    assert [picture[-1] for picture in outcome.pictures] == [(side, side) for side in sides]
    said = ["draw a sun", "Upscale #1", "Redo #2", "Upscale #2", "Upscale #4", "Upscale #5"]
    assert [reply[1] for reply in outcome.replies] == said
    labels = [label for _, label, _ in outcome.replies[1][-1]]
    assert labels == ["Vary #2", "Edit #2", "Upscale #2", "Redo #2", "Delete #2"]
    assert outcome.output == [
        "Image #6 already has the maximum size (4096 × 4096).",
        "Bild #6 hat schon die größtmögliche Größe (4096 × 4096).",
    ]


DRAWN = ("fox", "fox", "cat", "dog", "sun")


async def test_what_a_team_has_chosen_holds(tmp_path: Path) -> None:
    """Number, style, limit and rule for everybody; who may not is refused; the thread is forgotten in the end."""
    outcome = await everywhere(
        tmp_path,
        [
            Choose("Bo", "images_per_request", "2"),
            Choose("Bo", "style", "comic"),
            Refused(Choose("Ann", "style", "anime"), of_rank=True),
            Imagine("Cid", "a fox"),
            Choose("Bo", "blocked_words", "gore"),
            Say("Ann", "draw", ("<image>gore</image> and <image>a cat</image>",)),
            Choose("Bo", "daily_limit", "2"),
            Say("Ann", "two more", ("<image>a dog</image><image>a hen</image>",)),
            Refused(Press("Ann", Action.VARY, 1)),
            Choose("Bo", "daily_limit", "0"),
            Begin("Ann", "both", ("<image>a sun</image><image>a moon</image>",), frozenset({"a sun", "a moon"})),
            Refused(Press("Cid", Action.CANCEL, 6), of_rank=True),
            Press("Ann", Action.CANCEL, 6),
            LetGo(),
            Forget("Bo"),
        ],
    )
    full = f"Your limit is 2 images a day. The next one is free {WHEN}."
    assert outcome.output == [full, "Deleted from this thread: 4 messages and 5 images."]
    assert outcome.ranked == [
        "Only managers can change the settings of this server. You can change your own settings with the scope `me`.",
        "Only Ann and managers can do this.",
    ]
    assert tree(outcome) == [(nth, None, Operation.GENERATE, f"a {what}") for nth, what in enumerate(DRAWN, 1)]
    assert all("comic book art" in refined for _, _, _, refined, *_ in outcome.jobs)
    rule = "The content filter of this server blocks a word in this prompt."
    assert outcome.reasons == [rule, full, "Cancelled by Ann."]
    assert outcome.forgotten
