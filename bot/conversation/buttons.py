"""The buttons below a reply and `/imagine`: what each does, and the image requests that need no chat model."""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import assert_never

from bot.capabilities import LARGEST_SIDE, ModelCapabilities
from bot.conversation.edits_and_deletions import EditsAndDeletions
from bot.conversation.permissions import check_access, check_quota
from bot.conversation.reply import can_retry
from bot.conversation.running_reply import RunningReplies
from bot.domain import (
    HIGHEST_SEED,
    Action,
    ButtonPress,
    ImageRequest,
    ImagineCommand,
    Message,
    Operation,
    Person,
    Picture,
    PicturePart,
    ThreadKey,
)
from bot.errors import NotFound, Refused
from bot.formatting import parse_picture_number
from bot.notices import listed, notice, text
from bot.parsing.image_request import parse_aspect_ratio
from bot.settings.old_names import current_value
from bot.settings.rules import DEFAULT_CHOICE, MAX_IMAGES_PER_REQUEST, AvailableModels
from bot.settings.values import Settings
from bot.storage.store import Store

MessageAndRequests = tuple[Message, tuple[ImageRequest, ...]]


class Buttons:
    """Carries out button presses."""

    def __init__(
        self,
        store: Store,
        replies: RunningReplies,
        edits_and_deletions: EditsAndDeletions,
        fixed_requests: "FixedRequests",
        *,
        settings: Callable[[ThreadKey, Person], Settings],
        accept_message: Callable[[Message, Sequence[ImageRequest]], Awaitable[str]],
        schedule: Callable[[ThreadKey, str], None],
    ) -> None:
        """`accept_message` records a message with its fixed requests; `schedule` starts the turn of a message."""
        self._store = store
        self._replies = replies
        self._edits_and_deletions = edits_and_deletions
        self._fixed_requests = fixed_requests
        self._settings = settings
        self._accept_message = accept_message
        self._schedule = schedule

    async def press(self, press: ButtonPress) -> str:
        """Carry out a button press. Returns the id of the message whose reply shows the result. Raises Refused."""
        match press.action:
            case Action.STOP:
                return self._replies.stop_by_button(press)
            case Action.CANCEL:
                return self._replies.cancel_image(press)
            case Action.RETRY:
                return await self._retry(press)
            case Action.DELETE:
                return await self._edits_and_deletions.delete(press, self._replies.all_running())
            case Action.EDIT:
                return await self._accept_message(*self._fixed_requests.edit(press))
            case Action.VARY:
                return await self._accept_message(*self._fixed_requests.vary(press))
            case Action.UPSCALE:
                return await self._accept_message(*self._fixed_requests.upscale(press))
            case Action.REDO:
                return await self._accept_message(*self._fixed_requests.redo(press))
            case _:
                assert_never(press.action)

    async def _retry(self, press: ButtonPress) -> str:
        """Answer again a reply that is incomplete, or whose message was edited."""
        entry = self._replies.find_entry(press)
        running = self._replies.running(entry)
        if running and running.reply.final:  # displayed as final, but not recorded yet
            await running.recorded.wait()
            entry = self._replies.find_entry(press)
        if entry.view is None:
            if not self._replies.knows(entry):
                self._schedule(entry.thread, entry.id)  # the turn ended, but its final view could not be recorded
            return entry.id
        if not entry.view.status and not any(map(can_retry, entry.view.parts)):
            raise Refused("reply-complete")
        check_access(self._settings(press.thread, press.author), press.thread, press.author)
        settings = self._settings(entry.thread, entry.author)
        check_quota(self._store, settings, entry.thread, entry.author, self._store.jobs.count_failed(entry.id))
        self._store.reopen(entry.id)
        self._schedule(entry.thread, entry.id)
        return entry.id


class FixedRequests:
    """Messages for button presses and `/imagine`. Every method raises Refused for an impossible request."""

    def __init__(
        self,
        store: Store,
        settings: Callable[[ThreadKey, Person], Settings],
        capabilities: Callable[[], ModelCapabilities],
        available_models: Callable[[], AvailableModels],
    ) -> None:
        self._available_models = available_models
        self._store = store
        self._settings = settings
        self._capabilities = capabilities

    def edit(self, press: ButtonPress) -> MessageAndRequests:
        """A message about the image, without image requests: the chat model decides what to draw."""
        if not press.instruction.strip():
            raise Refused("edit-empty", number=press.target)
        number = self._find_picture(press).number
        return Message(press.id, press.thread, press.author, press.instruction, about=number, region=press.region), ()

    def vary(self, press: ButtonPress) -> MessageAndRequests:
        """A request for a variation of the image."""
        picture = self._find_picture(press)
        request = ImageRequest(0, Operation.VARY, "", source=picture.number)
        return self._message_about(press, picture, "vary", request)

    def upscale(self, press: ButtonPress) -> MessageAndRequests:
        """A request for the same image, twice as wide and high."""
        picture = self._find_picture(press)
        if 2 * max(picture.width, picture.height) > LARGEST_SIDE:
            raise Refused("image-largest", number=picture.number, width=picture.width, height=picture.height)
        request = ImageRequest(0, Operation.UPSCALE, "", source=picture.number)
        return self._message_about(press, picture, "upscale", request)

    def redo(self, press: ButtonPress) -> MessageAndRequests:
        """The same request as that of the image, with another seed."""
        picture = self._find_picture(press)
        if picture.request.operation is Operation.UPLOAD:
            raise Refused("redo-upload", number=picture.number)
        job = self._store.jobs.job(self._job_id(press.thread, picture.number))
        made_by = job.request if job else picture.request  # no job if the reply was answered again after an edit
        request = replace(made_by, key=0, sampling=replace(made_by.sampling, seed=random.getrandbits(31)))
        return self._message_about(press, picture, "redo", request)

    def imagine(self, command: ImagineCommand) -> MessageAndRequests:
        """The requests of `/imagine`, completed from the settings; a given seed grows by 1 for every further image."""
        settings, capabilities = self._settings(command.thread, command.author), self._capabilities()
        requested = command.request.sampling
        available = self._available_models().image
        asked_ratio, model = current_value("aspect_ratio", requested.aspect_ratio), requested.model
        model = model if model in available else current_value("image_model", model)
        asked_ratio, model = ("" if choice == DEFAULT_CHOICE else choice for choice in (asked_ratio, model))
        aspect_ratio = parse_aspect_ratio(asked_ratio)
        if requested.negative_prompt and not capabilities.negatives:
            raise Refused("no-negative-prompt")
        if aspect_ratio not in ("", "1:1") and not capabilities.ratios:
            raise Refused("no-aspect-ratios")
        if model and available and model not in available:
            raise Refused("no-such-image-model", model=model[:50], models=listed(available))
        if asked_ratio and not aspect_ratio:
            raise Refused("bad-aspect-ratio", ratio=asked_ratio[:20])
        count = settings.images_per_request if command.count is None else command.count
        if not 1 <= count <= MAX_IMAGES_PER_REQUEST:
            raise Refused("bad-image-count", maximum=MAX_IMAGES_PER_REQUEST, number=count)
        sampling = replace(requested, aspect_ratio=aspect_ratio, model=model)
        request = apply_settings(replace(command.request, sampling=sampling), settings)
        requests = tuple(_with_seed_of(request, nth) for nth in range(count))
        return Message(command.id, command.thread, command.author, request.prompt), requests

    def _message_about(
        self, press: ButtonPress, picture: Picture, action: str, request: ImageRequest
    ) -> MessageAndRequests:
        settings = self._settings(press.thread, press.author)
        chosen = apply_settings(request, settings)
        label = notice("numbered", label=notice(f"button-{action}"), number=picture.number)
        message_text = text(label, settings.language)
        return Message(press.id, press.thread, press.author, message_text, about=picture.number), (chosen,)

    def _find_picture(self, press: ButtonPress) -> Picture:
        picture = self._store.picture(press.thread, parse_picture_number(press.target))
        if picture is None:
            raise NotFound("no-such-image", number=press.target[:9])
        return picture

    def _job_id(self, thread: ThreadKey, number: int) -> str:
        """The id of the job that rendered the image; empty for an upload."""
        for entry in self._store.entries(thread):
            for part in entry.view.parts if entry.view else ():
                drawn = isinstance(part, PicturePart) and part.operation is not Operation.SELECT
                if drawn and isinstance(part, PicturePart) and part.number == number:
                    return f"{entry.id}.{part.key}"
        return self._store.jobs.newest_job_id(thread, number)


def apply_settings(request: ImageRequest, settings: Settings) -> ImageRequest:
    """The request, with aspect ratio and image model from the settings where the request leaves them open."""
    sampling = request.sampling
    default_ratio = settings.aspect_ratio if request.operation is Operation.GENERATE else ""
    return replace(
        request,
        sampling=replace(
            sampling,
            aspect_ratio=sampling.aspect_ratio or default_ratio,
            model=sampling.model or settings.image_model,
        ),
    )


def _with_seed_of(request: ImageRequest, nth: int) -> ImageRequest:
    """The nth request of several like this one; a given seed grows by 1 for each."""
    seed = request.sampling.seed
    seed = None if seed is None else (seed + nth) % (HIGHEST_SEED + 1)
    return replace(request, key=nth, sampling=replace(request.sampling, seed=seed))
