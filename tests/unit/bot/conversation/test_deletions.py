"""Deleted images: in the replies, in the database and on the disk."""

from dataclasses import replace

import pytest

from bot.conversation.dispatcher import Dispatcher
from bot.conversation.reply import (
    ImageOrdered,
    ImageProgress,
    PictureRemoved,
    Reply,
    ReplyEnded,
    remove_from_view,
    shows_picture,
    step,
    view,
)
from bot.domain import (
    Action,
    Button,
    Entry,
    Failed,
    ImageRequest,
    Operation,
    PicturePart,
    Queued,
    Rendered,
    TextPart,
    View,
)
from bot.errors import NotFound, Refused
from bot.i18n import localized
from bot.storage.store import Store
from tests.support.conversation import running
from tests.support.doubles import BOB, CID, THREAD, Screen, ScriptedModel, message, picture
from tests.support.records import (
    OTHER,
    KnowingRenderer,
    Shelf,
    buttons,
    come,
    command,
    failures,
    press,
    recorded,
    upload,
)

GONE = Failed("Deleted by Ann.", again=False)
TWO = "<image>a sun</image> and <image>a moon</image>"
ONE = f"{1:064x}"  # the digest of picture #1


async def send(inbox: Dispatcher, screen: Screen, store: Store, text: str, message_id: str) -> View:
    """Send a message, and wait until the reply is recorded."""
    await inbox.accept(message(message_id, text))
    await screen.final(message_id)
    return await recorded(store, message_id)


def entry_of(store: Store, message_id: str) -> Entry:
    """A recorded message, with its reply in English."""
    entry = store.entry(message_id)
    assert entry
    return replace(entry, view=entry.view and localized(entry.view, "en"))


def test_a_deleted_image_has_no_buttons() -> None:
    """A final view shows the reason in its place; the buttons of other images stay."""
    reply = Reply("r")
    for key, number in ((0, 1), (1, 11)):
        reply = step(reply, ImageOrdered(ImageRequest(key, Operation.GENERATE, "p"), number))
        reply = step(reply, ImageProgress(key, Rendered(picture(number))))
    whole = view(step(reply, ReplyEnded()))
    left = remove_from_view(whole, 1, "Deleted.")
    assert failures(left) == [Failed("Deleted.", again=False)] and come(left) == [11]
    below = (Action.VARY, Action.EDIT, Action.UPSCALE, Action.REDO, Action.DELETE)
    assert buttons(left) == {(action, "11") for action in below}
    assert left.final and remove_from_view(left, 1, "Deleted.") == left
    assert view(step(step(reply, PictureRemoved(1, "Deleted.")), ReplyEnded())) == left
    assert remove_from_view(whole, 7, "Deleted.") == whole
    retry = Button(Action.RETRY, "Retry", "1")  # of a reply that goes by the same name
    assert remove_from_view(replace(whole, buttons=(retry,)), 1, "Deleted.").buttons == (retry,)


def test_only_a_rendered_image_can_be_deleted() -> None:
    """An unfinished image is cancelled instead."""
    reply = step(Reply("r"), ImageOrdered(ImageRequest(0, Operation.GENERATE, "p"), 1))
    assert step(reply, PictureRemoved(1, "Deleted.")) == reply
    part = reply.parts[0]
    assert isinstance(part, PicturePart) and part.state == Queued(0)
    assert not shows_picture(reply, 1)


async def test_an_image_is_deleted_by_its_owner(store: Store) -> None:
    """It disappears from the reply, the database and the disk; Retry is not offered, the other image stays."""
    shelf = Shelf()
    async with running(store, ScriptedModel([[TWO]]), album=shelf) as (inbox, screen, _):
        await send(inbox, screen, store, "draw both", "m1")
        gone = press(Action.DELETE, "1")
        assert await inbox.accept(gone) == gone.id
        final = await screen.final("m1", 2)
        assert failures(final) == [GONE] and come(final) == [2]
        assert {target for _, target in buttons(final)} == {"2"}
        assert entry_of(store, "m1").view == final
        assert [made.number for made in store.pictures(THREAD)] == [2]
        assert shelf.thrown == [ONE]
        again = press(Action.DELETE, "1", nth=2)
        assert await inbox.accept(again) == again.id
        with pytest.raises(Refused, match="nothing to retry"):
            await inbox.accept(press(Action.RETRY, "m1"))


async def test_only_the_owner_and_managers_delete_an_image(store: Store) -> None:
    """Other users get a sentence that names the owner; nothing happens."""
    shelf = Shelf()
    async with running(store, ScriptedModel([[TWO]]), album=shelf) as (inbox, screen, _):
        final = await send(inbox, screen, store, "draw both", "m1")
        with pytest.raises(Refused, match=r"Only Ann and managers can do this\."):
            await inbox.accept(press(Action.DELETE, "1", CID))
        assert entry_of(store, "m1").view == final and not shelf.thrown and store.picture(THREAD, 1)
        await inbox.accept(press(Action.DELETE, "1", BOB))
        assert failures(await screen.final("m1", 2)) == [Failed("Deleted by Bob.", again=False)]


@pytest.mark.parametrize("target", ["", "x", "0", "3", "-1"])
async def test_an_unknown_image_cannot_be_deleted(store: Store, target: str) -> None:
    """The sentence names a number that no image of this thread has."""
    async with running(store, ScriptedModel([[TWO]])) as (inbox, screen, _):
        await send(inbox, screen, store, "draw both", "m1")
        with pytest.raises(NotFound, match="This thread has no image"):
            await inbox.accept(press(Action.DELETE, target))
        with pytest.raises(NotFound):
            await inbox.accept(replace(press(Action.DELETE, "1"), thread=OTHER))


async def test_the_file_stays_while_another_thread_has_it(store: Store) -> None:
    """The last thread that deletes the image deletes its file."""
    shelf = Shelf()
    script = "<image>a sun</image>"
    async with running(store, ScriptedModel([[script], [script]]), album=shelf) as (inbox, screen, _):
        await send(inbox, screen, store, "draw", "m1")
        await inbox.accept(replace(message("m2", "draw"), thread=OTHER))
        await screen.final("m2")
        await recorded(store, "m2")
        await inbox.accept(press(Action.DELETE, "1"))
        assert not shelf.thrown and store.picture(OTHER, 1)
        await inbox.accept(replace(press(Action.DELETE, "1"), thread=OTHER))
        assert shelf.thrown == [ONE]


async def test_an_image_is_deleted_while_its_reply_runs(store: Store) -> None:
    """The reply goes on without it, to its end."""
    model, shelf = ScriptedModel([["<image>a sun</image>", None, " done"]]), Shelf()
    async with running(store, model, album=shelf) as (inbox, screen, _):
        await inbox.accept(message("m1", "draw"))
        await screen.until("m1", lambda shown: come(shown) == [1])
        with pytest.raises(Refused, match="Only Ann"):
            await inbox.accept(press(Action.DELETE, "1", CID))
        await inbox.accept(press(Action.DELETE, "1"))
        shown = await screen.until("m1", lambda shown: failures(shown) == [GONE])
        assert not shown.final and buttons(shown) == {(Action.STOP, "m1")}
        model.go.set()
        final = await screen.final("m1")
        assert await recorded(store, "m1") == final
    assert final.parts[-1] == TextPart("done") and failures(final) == [GONE] and not final.buttons
    assert shelf.thrown == [ONE] and not store.pictures(THREAD)


async def test_an_image_shown_twice_is_removed_twice(store: Store) -> None:
    """Where it was rendered and where it was selected; it belongs to the user who first requested it."""
    model = ScriptedModel([[TWO], ['This one: <select of="1"/>']])
    async with running(store, model) as (inbox, screen, _):
        await send(inbox, screen, store, "draw", "m1")
        await inbox.accept(message("m2", "the first", author=CID))
        assert come(await screen.final("m2")) == [1]
        await recorded(store, "m2")
        with pytest.raises(Refused, match="Only Ann"):
            await inbox.accept(press(Action.DELETE, "1", CID))
        await inbox.accept(press(Action.DELETE, "1"))
        ends = [await screen.final(name, 2) for name in ("m1", "m2")]
    assert [come(end) for end in ends] == [[2], []]
    assert [failures(end) for end in ends] == [[GONE], [GONE]]
    assert not ends[1].buttons
    assert [entry.view and localized(entry.view, "en") for entry in store.entries(THREAD)] == ends


async def test_an_upload_can_be_deleted(store: Store) -> None:
    """By its uploader; the reply stays as it is."""
    shelf = Shelf()
    async with running(store, ScriptedModel([["A cat."]]), album=shelf) as (inbox, screen, _):
        await inbox.accept(upload("m1"))
        final = await screen.final("m1")
        await recorded(store, "m1")
        with pytest.raises(Refused, match="Only Ann"):
            await inbox.accept(press(Action.DELETE, "1", CID))
        await inbox.accept(press(Action.DELETE, "1"))
    entry = entry_of(store, "m1")
    assert entry.view == final and entry.uploads == ()
    assert shelf.thrown == [f"{99:064x}"]


async def test_a_deleted_image_counts_as_missing(store: Store) -> None:
    """An edit of it fails with a sentence, a message and buttons about it are refused, and its number is not reused."""
    model = ScriptedModel([[TWO], ['<edit of="1">red</edit>'], ["<image>a star</image>"]])
    async with running(store, model) as (inbox, screen, renderer):
        await send(inbox, screen, store, "draw both", "m1")
        await inbox.accept(press(Action.DELETE, "1"))
        with pytest.raises(NotFound, match="This thread has no image #1"):
            await inbox.accept(message("m3", "make it red", about=1))
        for action in (Action.REDO, Action.VARY, Action.EDIT):
            with pytest.raises(NotFound, match="This thread has no image #1"):
                await inbox.accept(press(action, "1", words="make it red"))
        with pytest.raises(NotFound, match="This thread has no image #1"):
            await inbox.run_command(command("details", picture="1"))
        edit = await send(inbox, screen, store, "make the sun red", "m4")
        assert [failed.reason for failed in failures(edit)] == [
            "Image #1 was deleted, so there is nothing to start from."
        ]
        assert come(await send(inbox, screen, store, "and a star", "m5")) == [4]
    assert [job.request.prompt for job in renderer.jobs] == ["a sun", "a moon", "a star"]


async def test_retry_does_not_render_a_deleted_image_again(store: Store) -> None:
    """Only failed images are rendered; the deleted one stays deleted under its number."""
    renderer = KnowingRenderer(refused={"a moon": "It broke."}, store=store)
    async with running(store, ScriptedModel([[TWO]]), renderer) as (inbox, screen, _):
        await send(inbox, screen, store, "draw both", "m1")
        await inbox.accept(press(Action.DELETE, "1"))
        final = await screen.final("m1", 2)
        assert failures(final) == [GONE, Failed("It broke.")]
        assert buttons(final) == {(Action.RETRY, "m1")}
        renderer.refused.clear()
        await inbox.accept(press(Action.RETRY, "m1"))
        final = await screen.final("m1", 3)
    assert failures(final) == [GONE] and come(final) == [2]
    assert [job.request.prompt for job in renderer.jobs] == ["a sun", "a moon", "a moon"]


def test_a_deleted_job_stays_ended(store: Store) -> None:
    """Neither Retry nor a restart queues it again; jobs of other images and threads are not touched."""
    store.accept(message("m1", "draw"))
    store.accept(replace(message("m2", "draw"), thread=OTHER))
    request = ImageRequest(0, Operation.GENERATE, "x")
    mine, second = store.jobs.order("m1", request, None), store.jobs.order("m1", replace(request, key=1), None)
    other = store.jobs.order("m2", request, None)
    store.remove_picture(THREAD, 1, "Deleted by Ann.")
    store.jobs.reopen("m1")
    store.jobs.recover()
    store.jobs.mark_posted("m1")
    assert store.jobs.outcome(mine) == GONE
    assert [row.id for row in store.jobs.unfinished()] == [second.id, other.id]
