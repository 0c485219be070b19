"""Builds the input of a turn: the thread, its images, and the history for the chat model."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import takewhile

from bot.capabilities import ModelCapabilities
from bot.conversation.model_answer import Turn
from bot.domain import Entry, Picture
from bot.llm.messages import ModelProfile, RequestProtocol
from bot.llm.token_budget import estimate_tokens
from bot.parsing.tool_calls import image_tools
from bot.ports import PictureFolder
from bot.prompting.history import build_history, wanted_images
from bot.prompting.sanitize import display_names
from bot.prompting.system_prompt import build_reminder, build_system_prompt
from bot.storage.store import Store


async def build_turn(
    entry: Entry,
    store: Store,
    picture_folder: PictureFolder,
    *,
    capabilities: ModelCapabilities,
    profile: ModelProfile,
    persona: str,
    language: str,
) -> Turn:
    """Build the turn of a recorded message for the current image model and chat model."""
    pictures = store.pictures(entry.thread)
    earlier = list(takewhile(lambda other: other.id != entry.id, store.entries(entry.thread)))
    images = await _read_thumbnails(picture_folder, wanted_images(entry, pictures, profile), pictures)
    system = build_system_prompt(capabilities, profile, persona)
    tools = image_tools(capabilities) if profile.request_protocol is RequestProtocol.TOOLS else ()
    history = build_history(system, earlier, entry, pictures, profile, images, reserved=estimate_tokens(repr(tools)))
    return Turn(
        history=tuple(history),
        pictures=tuple(pictures),
        deleted=tuple(store.deleted_numbers(entry.thread)),
        about=entry.about or (entry.uploads[-1].number if entry.uploads else None),
        region=entry.region,
        language=language,
        text=entry.text,
        names=tuple(display_names(other.author for other in (*earlier, entry)).values()),
        tools=tools,
        reminder=build_reminder(profile.request_protocol) if profile.may_forget_images else "",
        fixed_requests=entry.fixed_requests,
    )


async def _read_thumbnails(
    picture_folder: PictureFolder, numbers: Sequence[int], pictures: Sequence[Picture]
) -> dict[int, bytes]:
    images: dict[int, bytes] = {}
    for picture in pictures:
        if picture.number in numbers:
            with suppress(OSError):  # the file is gone: the history still describes the image
                images[picture.number] = await picture_folder.read_thumbnail(picture.digest)
    return images
