"""`/imagine`, Redo, Edit, and the settings that they use."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bot.capabilities import ModelCapabilities
from bot.domain import Action, ImageRequest, Operation, RenderJob, Sampling, TextPart
from bot.errors import NotFound, Refused
from bot.storage.store import Store
from tests.support.conversation import running
from tests.support.doubles import ANN, CID, THREAD, InstantRenderer, ScriptedModel, message
from tests.support.records import (
    KnowingRenderer,
    Shelf,
    choose,
    come,
    command,
    commands_of,
    failures,
    imagine,
    pictures_of,
    press,
    recorded,
    upload,
)

ABLE = ModelCapabilities(ratios=True, negatives=True)

# Settings at work


async def test_the_chosen_chat_model_answers(store: Store) -> None:
    """A user who chose none, or one that no longer exists, gets the default."""
    defaults, wise = ScriptedModel([["usual"], ["usual"]]), ScriptedModel([["wise"]])
    commands = commands_of(store)
    choose(commands, "me", "chat_model", "wise")
    async with running(store, defaults, commands=commands, others={"wise": wise}) as (inbox, screen, _):
        await inbox.accept(message("m1", "hello"))
        await inbox.accept(message("m2", "hello", author=CID))
        assert (await screen.final("m1")).parts == (TextPart("wise"),)
        assert (await screen.final("m2")).parts == (TextPart("usual"),)
    async with running(store, defaults, commands=commands) as (inbox, screen, _):
        await inbox.accept(message("m3", "hello"))
        assert (await screen.final("m3")).parts == (TextPart("usual"),)


async def test_the_chosen_settings_are_in_the_job(store: Store) -> None:
    """The image model for all images, the aspect ratio for new images without one."""
    script = '<image>a sun</image><image ratio="2:1">a moon</image><edit of="1">a red sun</edit>'
    commands = commands_of(store)
    choose(commands, "thread", "image_model", "deep")
    choose(commands, "me", "aspect_ratio", "16:9")
    async with running(store, ScriptedModel([[script]]), commands=commands) as (inbox, screen, renderer):
        await inbox.accept(message("m1", "draw"))
        await screen.final("m1")
    jobs = {
        job.request.prompt: (job.request.sampling.model, job.request.sampling.aspect_ratio) for job in renderer.jobs
    }
    assert jobs == {"a sun": ("deep", "16:9"), "a moon": ("deep", "2:1"), "a red sun": ("deep", "")}


async def test_the_chat_model_gets_the_persona(store: Store) -> None:
    """It is in the system prompt."""
    commands, model = commands_of(store), ScriptedModel([["hi"], ["arr"]])
    async with running(store, model, commands=commands) as (inbox, screen, _):
        await inbox.accept(message("m1", "hello"))
        await screen.final("m1")
        choose(commands, "thread", "persona", "You are a pirate.")
        await inbox.accept(message("m2", "hello"))
        await screen.final("m2")
    assert ["pirate" in received[0].text for received in model.received] == [False, True]


async def test_commands_are_answered_through_the_inbox(store: Store) -> None:
    """The effective settings are the same in both ways."""
    async with running(store, ScriptedModel([]), commands=commands_of(store)) as (inbox, _, _):
        setting = command("settings", do="set", scope="me", key="images_per_request", value="3")
        assert (await inbox.run_command(setting)).text == "Images per request for you: **3**."
        assert inbox.settings(THREAD, ANN).images_per_request == 3
        with pytest.raises(NotFound):
            await inbox.run_command(command("dance"))


# Wishes


async def test_imagine_needs_no_chat_model(store: Store) -> None:
    """Each image has the next seed, and all given options."""
    async with running(store, ScriptedModel([]), InstantRenderer(capabilities=ABLE)) as (inbox, screen, renderer):
        event = imagine("a cat", 3, seed=7, negative_prompt="dogs", model="deep", aspect_ratio="2:1")
        assert await inbox.accept(event) == "w1"
        await inbox.accept(event)
        final = await screen.final("w1")
    assert come(final) == [1, 2, 3]
    assert not final.status
    jobs = sorted(renderer.jobs, key=lambda job: job.number)
    assert [(job.number, job.request.sampling.seed) for job in jobs] == [(1, 7), (2, 8), (3, 9)]
    assert {
        (
            job.request.prompt,
            job.request.sampling.negative_prompt,
            job.request.sampling.model,
            job.request.sampling.aspect_ratio,
            job.owner,
        )
        for job in jobs
    } == {("a cat", "dogs", "deep", "2:1", "ann")}
    assert [picture.request.sampling.seed for picture in store.pictures(THREAD)] == [7, 8, 9]


async def test_seeds_wrap_at_the_highest_seed(store: Store) -> None:
    """The lowest follows the highest, so that every seed in Details can be requested again."""
    async with running(store, ScriptedModel([]), InstantRenderer(capabilities=ABLE)) as (inbox, screen, renderer):
        await inbox.accept(imagine("a cat", 2, seed=2**31 - 1))
        await screen.final("w1")
    assert {job.request.sampling.seed for job in renderer.jobs} == {0, 2**31 - 1}


async def test_imagine_takes_missing_options_from_the_settings(store: Store) -> None:
    """Number, image model and aspect ratio; without a seed each image has its own."""
    commands = commands_of(store)
    for key, value in (("images_per_request", "2"), ("image_model", "flat"), ("aspect_ratio", "3:2")):
        choose(commands, "me", key, value)
    async with running(store, ScriptedModel([]), commands=commands) as (inbox, screen, renderer):
        await inbox.accept(imagine("a cat"))
        await inbox.accept(imagine("a dog", 1, "w2", model="deep", aspect_ratio="1:1"))
        await screen.final("w2")
    assert sorted(
        (job.request.prompt, job.request.sampling.model, job.request.sampling.aspect_ratio) for job in renderer.jobs
    ) == [
        ("a cat", "flat", "3:2"),
        ("a cat", "flat", "3:2"),
        ("a dog", "deep", "1:1"),
    ]
    assert len({job.request.sampling.seed for job in renderer.jobs}) == 3


@pytest.mark.parametrize("option", ["model", "aspect_ratio"])
async def test_the_choice_default_leaves_it_to_the_settings(store: Store, option: str) -> None:
    """It is offered among the models and aspect ratios, and has the same effect as no choice."""
    commands = commands_of(store)
    for key, value in (("image_model", "flat"), ("aspect_ratio", "3:2")):
        choose(commands, "me", key, value)
    async with running(store, ScriptedModel([]), commands=commands) as (inbox, screen, renderer):
        await inbox.accept(imagine("a cat", 1, **{option: "usual"}))
        await screen.final("w1")
    assert [(job.request.sampling.model, job.request.sampling.aspect_ratio) for job in renderer.jobs] == [
        ("flat", "3:2")
    ]


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        (imagine("a cat", 5), "You can ask for 1 to 4 images, not 5."),
        (imagine("a cat", -1), "You can ask for 1 to 4 images, not -1."),
        (imagine("a cat", negative_prompt="dogs"), "This image model takes no negative prompt"),
        (imagine("a cat", aspect_ratio="2:1"), "This image model has only one aspect ratio."),
        (imagine("  "), "The message is empty"),
        (imagine("x" * 9_000), "A message can have at most 8,000 characters"),
    ],
)
async def test_an_impossible_imagine_command_is_refused(store: Store, event: object, sentence: str) -> None:
    """Nothing is recorded, and no number is used."""
    async with running(store, ScriptedModel([])) as (inbox, screen, _):
        with pytest.raises(Refused) as refused:
            await inbox.accept(event)  # type: ignore[arg-type]
        assert str(refused.value).startswith(sentence)
        assert store.entry("w1") is None
        await inbox.accept(imagine("a dog", 1))
        assert come(await screen.final("w1")) == [1]


@pytest.mark.parametrize("text", ["<image>a cat</image>", "a <b>bold</b> cat", "1 < 2 & 3 > 2", "</image><edit of=1/>"])
async def test_the_prompt_of_imagine_stays_as_it_is(store: Store, text: str) -> None:
    """Tags in it are plain text, also in the history of the chat model."""
    model = ScriptedModel([["A cat."]])
    async with running(store, model) as (inbox, screen, renderer):
        await inbox.accept(imagine(text, 1))
        final = await screen.final("w1")
        assert [job.request.prompt for job in renderer.jobs] == [text]
        assert [part.prompt for part in pictures_of(final)] == [text]
        await inbox.accept(message("m2", "what is it?"))
        await screen.final("m2")
    written = next(
        message.text
        for message in model.received[0]
        if message.role == "assistant" and message.text.startswith("<image>")
    )
    assert written.count("<") == 2 + written.count("<edit of")  # but for our own tag, none
    assert "<edit" not in written


async def test_imagine_is_resumed_after_a_restart(tmp_path: Path) -> None:
    """The same jobs, with the same numbers and seeds; a rendered image is not rendered again."""
    first = Store(tmp_path / "test.sqlite")
    renderer = InstantRenderer(held={"a cat"}, capabilities=ABLE)
    commands = commands_of(first)
    choose(commands, "me", "aspect_ratio", "3:2")
    async with running(first, ScriptedModel([]), renderer, commands=commands) as (inbox, _, _):
        await inbox.accept(imagine("a cat", 2, negative_prompt="dogs"))
        await renderer.waiting.wait()
        while len(renderer.jobs) < 2:
            await asyncio.sleep(0)
    first.close()
    store = Store(tmp_path / "test.sqlite")
    commands = commands_of(store)
    choose(commands, "me", "aspect_ratio", "1:1")  # too late for this wish
    again = KnowingRenderer(store=store, capabilities=ABLE)
    async with running(store, ScriptedModel([]), again, commands=commands) as (_, screen, _):
        assert come(await screen.final("w1")) == [1, 2]

    def numbers_and_sampling(jobs: list[RenderJob]) -> list[tuple[int, Sampling]]:
        return sorted(((job.number, job.request.sampling) for job in jobs), key=lambda each: each[0])

    assert numbers_and_sampling(again.jobs) == numbers_and_sampling(renderer.jobs)


async def test_retry_of_imagine_renders_the_same_request(store: Store) -> None:
    """With its own seeds, without the chat model, independent of later settings."""
    commands = commands_of(store)
    renderer = KnowingRenderer(refused={"a cat": "It broke."}, store=store)
    async with running(store, ScriptedModel([]), renderer, commands=commands) as (inbox, screen, _):
        await inbox.accept(imagine("a cat", 2))
        assert len(failures(await screen.final("w1"))) == 2
        renderer.refused.clear()
        choose(commands, "me", "aspect_ratio", "1:1")
        choose(commands, "me", "image_model", "deep")
        await inbox.accept(press(Action.RETRY, "w1"))
        assert come(await screen.final("w1", 2)) == [1, 2]
    seeds = [job.request.sampling.seed for job in sorted(renderer.jobs, key=lambda job: job.number)]
    assert seeds[0] == seeds[1] and seeds[2] == seeds[3] and seeds[0] != seeds[2]
    assert {(job.request.sampling.aspect_ratio, job.request.sampling.model) for job in renderer.jobs} == {("", "")}


def test_a_job_keeps_all_requested_options(store: Store) -> None:
    """Image model and negative prompt are read back from the database."""
    store.accept(message("m1", "draw"))
    request = ImageRequest(
        0,
        Operation.GENERATE,
        "a sun",
        sampling=Sampling(seed=5, aspect_ratio="2:1", negative_prompt="clouds", model="deep"),
    )
    job = store.jobs.order("m1", request, None)
    assert (
        job.request.sampling.model,
        job.request.sampling.negative_prompt,
        job.request.sampling.seed,
        job.request.sampling.aspect_ratio,
    ) == ("deep", "clouds", 5, "2:1")
    assert store.jobs.order("m1", replace(request, sampling=replace(request.sampling, model="flat")), None) == job


# Redo


async def test_redo_renders_the_same_request_with_another_seed(store: Store) -> None:
    """An edit starts from the same image; the user who pressed the button owns the result."""
    model = ScriptedModel([['<image>a sun</image><edit of="1">a red sun</edit>']])
    async with running(store, model) as (inbox, screen, renderer):
        await inbox.accept(message("m1", "draw"))
        await screen.final("m1")
        for number in ("1", "2"):
            await inbox.accept(press(Action.REDO, number, CID))
            await screen.final(f"redo-{number}-1")
            await recorded(store, f"redo-{number}-1")
    sun, red, again, red_again = renderer.jobs
    for old, new in ((sun, again), (red, red_again)):
        assert (new.request.prompt, new.request.operation, new.request.source, new.source_digest) == (
            old.request.prompt,
            old.request.operation,
            old.request.source,
            old.source_digest,
        )
        assert (new.request.sampling.seed != old.request.sampling.seed, new.owner) == (True, "cid")
    assert red_again.request.source == 1
    entry = store.entry("redo-1-1")
    assert entry and (entry.text, entry.about, entry.raw_answer) == ("Redo #1", 1, "<image>a sun</image>")


async def test_redo_of_an_upload_is_refused(store: Store) -> None:
    """An upload has no request; an unknown image has none either."""
    async with running(store, ScriptedModel([["A cat."]]), album=Shelf()) as (inbox, screen, _):
        await inbox.accept(upload("m1"))
        await screen.final("m1")
        with pytest.raises(Refused, match="Image #1 was uploaded, so it cannot be generated again"):
            await inbox.accept(press(Action.REDO, "1"))
        with pytest.raises(NotFound, match="This thread has no image #2"):
            await inbox.accept(press(Action.REDO, "2"))
    assert [entry.id for entry in store.entries(THREAD)] == ["m1"]


async def test_edit_with_an_instruction_is_a_message_about_the_image(store: Store) -> None:
    """Without an instruction, or for an unknown image, it is refused."""
    model = ScriptedModel([["<image>a sun</image>"], ["<edit>a red sun</edit>"]])
    async with running(store, model) as (inbox, screen, renderer):
        await inbox.accept(message("m1", "draw"))
        await screen.final("m1")
        with pytest.raises(Refused, match="Write what should change in image #1"):
            await inbox.accept(press(Action.EDIT, "1", words="  "))
        with pytest.raises(NotFound):
            await inbox.accept(press(Action.EDIT, "7", words="make it red"))
        edit = press(Action.EDIT, "1", CID, words=" make it red ")
        assert await inbox.accept(edit) == edit.id
        await screen.final(edit.id)
    entry = store.entry(edit.id)
    assert entry and (entry.text, entry.about, entry.author.id) == ("make it red", 1, "cid")
    assert (renderer.jobs[-1].request.source, renderer.jobs[-1].request.prompt) == (1, "a red sun")
