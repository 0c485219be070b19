"""The answers and effects of the slash commands."""

import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bot.commands.slash_commands import MAX_LISTED_PROMPT, SlashCommands
from bot.domain import ImageRequest, Operation, Person, Picture, ThreadKey
from bot.errors import NotFound, Refused
from bot.formatting import replace_time_markers
from bot.notices import lines, notice
from bot.queue_status import QueuedJob, QueueStatus, WorkerStatus
from bot.settings.values import Command, CommandResponse, Scope, Settings
from bot.storage.store import Store
from tests.support.doubles import ANN, BOB, CID, THREAD, claimed, message, picture
from tests.support.records import OTHER, choose, command, commands_of

DAY = 86_400


def fields(answer: CommandResponse) -> dict[str, tuple[str, str]]:
    """The values in a settings panel, and the scope that each comes from."""
    assert answer.panel
    return {field.key: (field.value, field.source) for field in answer.panel.fields}


def render_picture(
    store: Store, message_id: str, made: Picture, author: Person = ANN, thread: ThreadKey = THREAD
) -> None:
    """Record a rendered image as the first of a reply."""
    store.accept(replace(message(message_id, "draw", author=author), thread=thread))
    request = ImageRequest(0, made.request.operation, made.request.prompt)
    job = store.jobs.order(message_id, request, made.request.source)
    assert store.jobs.mark_rendered(claimed(store, job), made)


# Settings


def test_a_setting_is_set_shown_and_reset(store: Store) -> None:
    """Each answer ends with the panel of the scope as it is then."""
    commands = commands_of(store)
    answer = choose(commands, "me", "aspect_ratio", "16:9")
    assert str(answer.text) == "Aspect ratio for you: **16:9**."
    assert answer.panel and answer.panel.scope is Scope.PERSON
    assert fields(answer)["aspect_ratio"] == ("16:9", "me")
    assert commands.resolve_settings(THREAD, ANN).aspect_ratio == "16:9"
    assert commands.resolve_settings(THREAD, CID).aspect_ratio == ""
    assert fields(commands.answer(command("settings")))["aspect_ratio"] == ("16:9", "me")
    assert fields(commands.answer(command("settings", scope="thread")))["aspect_ratio"] == ("default", "default")
    answer = commands.answer(command("settings", do="reset", key="aspect_ratio"))
    assert str(answer.text) == "Aspect ratio for you has the default value again."
    assert fields(answer)["aspect_ratio"] == ("default", "default")


def test_choosing_the_default_removes_a_choice(store: Store) -> None:
    """The sentence and the panel name the default."""
    commands = commands_of(store)
    choose(commands, "me", "image_model", "deep")
    answer = choose(commands, "me", "image_model", "default")
    assert str(answer.text) == "Image model for you: **Default**."
    assert fields(answer)["image_model"][0] == "default"
    assert commands.resolve_settings(THREAD, ANN) == Settings()


def test_everything_of_a_scope_is_reset(store: Store) -> None:
    """Without a key; other scopes keep their values."""
    commands = commands_of(store)
    choose(commands, "thread", "aspect_ratio", "16:9")
    choose(commands, "thread", "persona", "A pirate.")
    choose(commands, "me", "images_per_request", "2")
    answer = commands.answer(command("settings", scope="thread", do="reset"))
    assert str(answer.text) == "All settings for this thread have their default values again."
    assert commands.resolve_settings(THREAD, ANN) == Settings(images_per_request=2)


@pytest.mark.parametrize("scope", ["server", "channel"])
@pytest.mark.parametrize("do", ["set", "reset"])
def test_only_managers_change_settings_that_apply_to_others(store: Store, scope: str, do: str) -> None:
    """Every user may look at them."""
    commands = commands_of(store)
    choose(commands, scope, "aspect_ratio", "16:9", BOB)
    arguments = {"scope": scope, "key": "ratio", "value": "1:1"}
    with pytest.raises(Refused, match="Only managers"):
        commands.answer(command("settings", ANN, do=do, **arguments))
    assert fields(commands.answer(command("settings", ANN, scope=scope)))["aspect_ratio"] == ("16:9", scope)
    commands.answer(command("settings", BOB, do=do, **arguments))
    assert commands.resolve_settings(THREAD, ANN).aspect_ratio == ("1:1" if do == "set" else "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"scope": "world"}, "Settings apply to server, category, channel, thread, and me, not to “world”."),
        ({"do": "set", "key": "ratio", "value": "5:4"}, "Aspect ratio must be one of"),
        (
            {"do": "set", "key": "persona", "value": "A pirate."},
            "Persona can be set for server, category, channel, and thread,",
        ),
        ({"do": "set", "value": "1:1"}, "There is no setting “”. The settings are chat_model, "),
        ({"do": "reset", "key": "colour"}, "There is no setting “colour”. The settings are"),
        ({"do": "reset", "key": "answer"}, "Reply in can be set for server, category, and channel, not for me."),
    ],
)
def test_a_wrong_setting_is_refused(store: Store, arguments: dict[str, str], sentence: str) -> None:
    """Nothing changes."""
    commands = commands_of(store)
    with pytest.raises(Refused) as refused:
        commands.answer(command("settings", BOB, **arguments))
    assert str(refused.value).startswith(sentence)
    assert commands.resolve_settings(THREAD, BOB) == Settings()


def test_the_offered_models_are_those_of_the_workers(store: Store) -> None:
    """Each is offered once, after the default; without a worker there is only the default."""
    answer = commands_of(store).answer(command("settings"))
    assert answer.panel
    choices = {field.key: field.choices for field in answer.panel.fields}
    assert choices["image_model"] == ("default", "flat", "deep")
    assert choices["chat_model"] == ("default", "wise")
    empty = SlashCommands(store).answer(command("settings")).panel
    assert empty and [field.choices for field in empty.fields[:2]] == [("default",), ("default",)]


# The line


def queued_job(
    owner: Person, number: int, *, ahead: int | None = 0, running: bool = False, eta: float | None = None
) -> QueuedJob:
    """An image in the render queue."""
    return QueuedJob(
        f"secret.{number}", THREAD, number, Operation.GENERATE, owner.id, "flat", running, 0.4, ahead, eta, 1.0
    )


def queue(store: Store, queue_status: QueueStatus, author: Person = ANN) -> str:
    """The answer of `/queue`."""
    return str(SlashCommands(store, queue_status=lambda: queue_status).answer(command("queue", author)).text)


def test_an_empty_queue_says_so(store: Store) -> None:
    """The answer also says that there is no worker."""
    assert queue(store, QueueStatus()) == "Generating: 0. Waiting: 0.\n- No worker with an image model is running yet."
    assert queue(store, QueueStatus(workers=(WorkerStatus("one", "flat", 1, 0),))) == "Generating: 0. Waiting: 0."


def test_the_queue_shows_the_positions_of_ones_own_images(store: Store) -> None:
    """The progress of the running image, and how many images are before the others."""
    status = QueueStatus(
        (
            queued_job(ANN, 1, running=True, eta=3.2),
            queued_job(CID, 5, ahead=0),
            queued_job(ANN, 2, ahead=1, eta=22),
            queued_job(ANN, 3, ahead=2),
            queued_job(ANN, 4),
            queued_job(ANN, 6, ahead=None),
        ),
        (WorkerStatus("one", "flat", 1, 1, problem="It is loading its model."),),
    )
    answer = replace_time_markers(queue(store, status))
    assert answer.splitlines() == [
        "Generating: 1. Waiting: 5.",
        "- Your image #1: 40% done, ready in about 3 sec",
        "- Your image #2: 1 image ahead, ready in about 20 sec",
        "- Your image #3: 2 images ahead",
        "- Your image #4: next",
        "- Your image #6: waiting for a worker",
        "- one: It is loading its model.",
    ]


def test_the_queue_shows_nothing_of_other_users(store: Store) -> None:
    """Neither names nor images; of one's own images at most ten."""
    store.accept(message("secret", "my secret wish", author=CID))
    others = tuple(queued_job(CID, n) for n in range(1, 30))
    status = QueueStatus((*others, *(queued_job(ANN, n) for n in range(40, 60))), (WorkerStatus("one", "flat", 1, 0),))
    answer = queue(store, status)
    assert answer.startswith("Generating: 0. Waiting: 49.")
    assert answer.count("Your image") == 10
    assert all(word not in answer.lower() for word in ("cid", "secret", "wish", "#1 ", "#29"))


# Pictures


def test_images_are_listed_as_a_tree(store: Store) -> None:
    """Each is below its source image; images whose source was deleted are at the left."""
    assert str(commands_of(store).answer(command("images")).text) == "This thread has no images yet."
    made = [
        picture(1, "a sun"),
        picture(2, "a moon"),
        picture(3, "a red sun", 1, operation=Operation.EDIT),
        picture(4, "a star", 9, operation=Operation.VARY),
        picture(5, "a big\nred sun", 3, operation=Operation.REFINE),
        replace(picture(6, "", operation=Operation.UPLOAD), alt="a photo"),
        picture(7, "x" * 500, 1, operation=Operation.EDIT),
    ]
    for nth, each in enumerate(made):
        render_picture(store, f"m{nth}", each)
    assert str(commands_of(store).answer(command("images")).text).splitlines() == [
        "- **#1** generated: a sun",
        "  - **#3** edit of #1: a red sun",
        "    - **#5** refined from #3: a big red sun",
        f"  - **#7** edit of #1: {'x' * (MAX_LISTED_PROMPT - 1)}…",
        "- **#2** generated: a moon",
        "- **#4** variation of #9: a star",
        "- **#6** uploaded: a photo",
    ]
    assert str(commands_of(store).answer(command("images", ANN, OTHER)).text) == "This thread has no images yet."


def test_the_old_name_of_the_images_command_still_works(store: Store) -> None:
    """Users of the previous version type `/pictures`."""
    render_picture(store, "m1", picture(1, "a sun"))
    answers = [commands_of(store).answer(command(name)) for name in ("images", "pictures")]
    assert answers[0] == answers[1] and "a sun" in str(answers[0].text)


def test_the_indentation_of_a_long_chain_is_limited(store: Store) -> None:
    """After some levels it continues straight down."""
    for n in range(1, 12):
        render_picture(store, f"m{n}", picture(n, "p", n - 1 or None, Operation.EDIT))
    lines = str(commands_of(store).answer(command("images")).text).splitlines()
    assert [(len(status) - len(status.lstrip())) // 2 for status in lines] == [0, 1, 2, 3, 4, 5, 5, 5, 5, 5, 5]


def test_details_show_everything_about_an_image(store: Store) -> None:
    """The prompts are in code, where Markdown has no effect."""
    render_picture(store, "m1", picture(1, "a `red`\nsun"))
    edit = replace(picture(2, "a moon", 1, Operation.EDIT, seed=0), refined_prompt="a `pale` moon")
    render_picture(store, "m2", edit)
    bare = replace(picture(3, "", operation=Operation.UPLOAD, seed=None), alt="a photo", model=None)
    render_picture(store, "m3", bare)

    def details(number: str) -> list[str]:
        return str(commands_of(store).answer(command("details", picture=number)).text).splitlines()

    assert details("1") == ["**#1** · generated · 256 × 256", "Prompt: `a 'red' sun`", "Seed: `1`", "Image model: `m`"]
    assert details("2") == [
        "**#2** · edit of #1 · 256 × 256",
        "Prompt: `a moon`",
        "Improved prompt: `a 'pale' moon`",
        "Seed: `0`",
        "Image model: `m`",
    ]
    assert details("3") == ["**#3** · uploaded · 256 × 256"]


@pytest.mark.parametrize("number", ["", "2", "x", "-1", "1.0"])
def test_details_of_an_unknown_image_are_refused(store: Store, number: str) -> None:
    """The sentence names the number."""
    render_picture(store, "m1", picture(1))
    with pytest.raises(NotFound, match=f"This thread has no image #{number}"):
        commands_of(store).answer(command("details", picture=number))
    with pytest.raises(NotFound):
        commands_of(store).answer(command("details", ANN, OTHER, picture="1"))


# Usage, help


def test_usage_counts_a_day_and_a_month(store: Store, tmp_path: Path) -> None:
    """An image from some days ago counts for the month, an older one does not."""
    for nth, days in enumerate((0, 2, 29, 31)):
        render_picture(store, f"m{nth}", picture(1))
        with sqlite3.connect(tmp_path / "test.sqlite") as file:
            file.execute("UPDATE jobs SET claimed = claimed - ? WHERE message = ?", [days * DAY, f"m{nth}"])
        file.close()
    assert str(commands_of(store).answer(command("usage", BOB)).text).splitlines() == [
        "You: **0 images** in the last day, 0 in the last 30 days.",
        "Everybody here: **1 image** in the last day, 3 in the last 30 days.",
    ]
    assert (
        str(commands_of(store).answer(command("usage")).text)
        == "You: **1 image** in the last day, 3 in the last 30 days."
    )


def test_usage_counts_ones_own_images_on_this_server(store: Store) -> None:
    """Managers also see the sum of all users; other servers and failed images do not count."""
    commands = commands_of(store)
    assert str(commands.answer(command("usage")).text) == "You: **0 images** in the last day, 0 in the last 30 days."
    render_picture(store, "m1", picture(1))
    render_picture(store, "m2", picture(2), CID)
    render_picture(store, "m3", picture(1), thread=OTHER)
    render_picture(store, "m4", picture(1), thread=replace(THREAD, space="space2"))
    store.accept(message("m5", "draw"))
    store.jobs.order("m5", ImageRequest(0, Operation.GENERATE, "waits"), None)
    store.jobs.mark_posted("m1")
    assert str(commands.answer(command("usage")).text) == "You: **2 images** in the last day, 2 in the last 30 days."
    assert (
        str(commands.answer(command("usage", CID)).text) == "You: **1 image** in the last day, 1 in the last 30 days."
    )
    assert str(commands.answer(command("usage", BOB)).text).splitlines() == [
        "You: **0 images** in the last day, 0 in the last 30 days.",
        "Everybody here: **3 images** in the last day, 3 in the last 30 days.",
    ]


def test_images_are_counted_from_a_given_time(store: Store) -> None:
    """Images that were started before it do not count."""
    render_picture(store, "m1", picture(1))
    now = time.time()
    assert store.jobs.count_rendered("test/space", now - DAY) == 1
    assert store.jobs.count_rendered("test/space", now + DAY) == 0
    assert store.jobs.count_rendered("test/spa", now - DAY) == 0
    assert store.jobs.count_rendered("test/space", now - DAY, "cid") == 0


def test_help_names_every_command(store: Store) -> None:
    """At the end are the notes about how this bot is operated."""
    answer = SlashCommands(store, note="Pictures are kept for a week.").answer(command("help")).text
    help_text = str(notice("help"))
    assert str(answer) == f"{help_text}\nPictures are kept for a week."
    assert SlashCommands(store).answer(command("help")).text == lines([notice("help")])
    for name in ("imagine", "images", "settings", "queue", "cancel", "usage", "forget"):
        assert f"`/{name}`" in help_text


def test_an_unknown_command_is_refused(store: Store) -> None:
    """The sentence names it."""
    with pytest.raises(NotFound, match=r"There is no command “dance”\."):
        commands_of(store).answer(Command("c", THREAD, ANN, "dance"))
