"""The images of one reply: from an image request to a checked job with its final prompt, and to the finished image."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace

from bot.conversation.alt_text import write_alt_text
from bot.conversation.buttons import apply_settings
from bot.conversation.model_answer import Turn
from bot.conversation.permissions import check_blocked_words, check_quota
from bot.conversation.prompt_refiner import PromptRefiner
from bot.conversation.reply import Event, ImageOrdered, ImageProgress
from bot.conversation.source_picture import resolve_source
from bot.domain import Entry, Failed, ImageRequest, Operation, Picture, Rendered, RenderJob
from bot.errors import Refused
from bot.notices import UserText, notice
from bot.ports import PictureFolder, Renderer
from bot.settings.styles import BUILT_IN_STYLES, Style, apply_style, find_lora_style
from bot.settings.values import Settings
from bot.storage.store import Store


class ImageOrders:
    """Orders and renders the images of one reply, and knows the current image, which requests call "it".

    Applies settings, limits and styles, refines prompts, and adds alternative texts. An image whose source image
    belongs to the same reply waits for it.
    """

    def __init__(
        self,
        turn: Turn,
        entry: Entry,
        settings: Settings,
        show: Callable[[Event], None],
        *,
        store: Store,
        renderer: Renderer,
        refiner: PromptRefiner,
        picture_folder: PictureFolder,
        moderate: Callable[[str], Awaitable[None]] | None = None,
        styles: Mapping[str, Style] = BUILT_IN_STYLES,
    ) -> None:
        """`moderate` raises Refused for a prompt that must not be rendered."""
        self._turn = turn
        self._entry = entry
        self._settings = settings
        self._show = show
        self._store = store
        self._renderer = renderer
        self._refiner = refiner
        self._picture_folder = picture_folder
        self._moderate = moderate
        self._styles = styles
        self._tasks: list[asyncio.Task[None]] = []
        self.cancel()

    def cancel(self) -> None:
        """Cancel all images of the reply: the model retracted its answer so far."""
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        self._pictures = {picture.number: _completed_future(picture) for picture in self._turn.pictures}
        self._pictures |= {number: _completed_future(None) for number in self._turn.deleted}
        self._current_picture = self._turn.current_picture

    def start(self, request: ImageRequest, renders: asyncio.TaskGroup) -> None:
        """Order an image, and render it in the task group. A request that is refused is shown as failed."""
        order = self._order(request)
        self._tasks.append(renders.create_task(self._carry_out(request.key, order)))

    # Ordering

    def _order(self, request: ImageRequest) -> RenderJob | Picture | Failed:
        """Order an image and show it as queued. Returns a job to render, the picture of a selection, or the failure."""
        resolved = resolve_source(request, self._pictures, self._current_picture, self._turn.text)
        if isinstance(resolved, Failed):
            self._show(ImageOrdered(request, 0))
            return resolved
        request, source = resolved.request, resolved.source_number
        if self._turn.region and source == self._turn.about and request.operation in (Operation.EDIT, Operation.VARY):
            request = replace(request, region=self._turn.region)
        if request.operation is Operation.SELECT and source is not None and self._pictures[source].done():
            picture = self._pictures[source].result()
            self._show(ImageOrdered(request, source))
            self._current_picture = source
            return picture if picture and self._is_available(source) else Failed(self._why_missing(source))
        try:
            job = self._record_job(request, source)
        except Refused as refused:
            self._show(ImageOrdered(request, 0))
            return Failed(refused.notice)
        self._show(ImageOrdered(request, job.number, source))
        self._pictures[job.number] = asyncio.get_running_loop().create_future()
        self._current_picture = job.number
        return job

    def _record_job(self, request: ImageRequest, source: int | None) -> RenderJob:
        """Record and return the job for a request; a known request returns its recorded job. Raises Refused."""
        chosen = request if self._entry.fixed_requests else apply_settings(request, self._settings)
        return self._store.jobs.order(
            self._entry.id,
            request,
            source,
            sampling=chosen.sampling,
            allow=lambda: self._check_allowed(request),
        )

    def _check_allowed(self, request: ImageRequest) -> None:
        check_blocked_words(self._settings, request.prompt)
        check_quota(self._store, self._settings, self._entry.thread, self._entry.author, 1)

    # Rendering

    async def _carry_out(self, key: int, order: RenderJob | Picture | Failed) -> None:
        """Carry out an order to its end: a job is rendered, a picture or a failure is shown at once."""
        match order:
            case Failed():
                self._show(ImageProgress(key, order))
            case Picture():
                self._show(ImageProgress(key, Rendered(order)))
            case RenderJob():
                future = self._pictures[order.number]
                outcome = await self._render(key, order)
                if not future.done():
                    future.set_result(outcome.picture if isinstance(outcome, Rendered) else None)

    async def _render(self, key: int, job: RenderJob) -> Rendered | Failed:
        if outcome := self._store.jobs.outcome(job):
            self._show(ImageProgress(key, outcome))
            return outcome
        if job.request.source is not None:
            source = await self._pictures[job.request.source]
            if source is None or not self._is_available(job.request.source):
                failed = Failed(self._why_missing(job.request.source))
                self._show(ImageProgress(key, failed))
                return failed
            request = replace(job.request, prompt=job.request.prompt or source.request.prompt)
            job = replace(job, source_digest=source.digest, request=request)
        try:
            job = await self._prepare(job)
        except Refused as refused:
            self._show(ImageProgress(key, Failed(refused.notice)))
            return Failed(refused.notice)
        async with aclosing(self._renderer.render(job)) as updates:
            async for update in updates:
                self._show(ImageProgress(key, update))
                if isinstance(update, Rendered):
                    return await self._add_alt_text(key, update)
                if isinstance(update, Failed):
                    return update
        raise AssertionError("a renderer ends with Rendered or Failed")

    async def _prepare(self, job: RenderJob) -> RenderJob:
        """The job with the prompt, LoRA and metadata for the image model; the prompt is checked. Raises Refused."""
        job = replace(job, embeds_metadata=self._settings.metadata, source_prompt=self._source_prompt(job))
        chosen = self._styles.get(self._settings.style, Style())
        is_new = job.request.operation is Operation.GENERATE
        style = chosen if is_new else find_lora_style(self._styles, job.source_prompt)
        sampling = replace(job.request.sampling, lora=style.lora, lora_scale=style.lora_scale)
        job = replace(job, request=replace(job.request, sampling=sampling))
        known = bool(job.refined_prompt)  # refined before a restart or a Retry: checked again, not changed
        job = await self._refiner(job, self._renderer.capabilities)
        prompt = job.final_prompt
        if is_new and not known:
            prompt = apply_style(prompt, self._settings.style, style)
        check_blocked_words(self._settings, job.request.prompt, prompt)
        if self._moderate and prompt:
            await self._moderate(prompt)
        if prompt != job.final_prompt:
            self._store.jobs.refine(job, prompt)
            job = replace(job, refined_prompt=prompt)
        return job

    def _source_prompt(self, job: RenderJob) -> str:
        """The prompt that the image model received for the source image; empty without a source."""
        source = self._store.picture(job.thread, job.request.source) if job.request.source else None
        return source.refined_prompt or source.request.prompt if source else ""

    async def _add_alt_text(self, key: int, rendered: Rendered) -> Rendered:
        """Record and show an alternative text by the chat model.

        The picture stays as it is if the setting is off, its file is gone, or the model returns no text.
        """
        if not self._settings.alt_text:
            return rendered
        picture = rendered.picture
        try:
            jpeg = await self._picture_folder.read_thumbnail(picture.digest)
        except OSError:  # the file is gone
            return rendered
        alt = await write_alt_text(self._refiner.model, jpeg, picture.request.prompt)
        if not alt:
            return rendered
        described = replace(picture, alt=alt)
        self._store.update_picture(self._entry.thread, described)
        if described != picture:
            self._show(ImageProgress(key, Rendered(described)))
        return Rendered(described)

    def _is_available(self, number: int) -> bool:
        """Whether the image with this number is finished and not deleted."""
        return self._store.picture(self._entry.thread, number) is not None

    def _why_missing(self, number: int) -> UserText:
        future = self._pictures[number]
        was_there = number in self._turn.deleted or (future.done() and future.result() is not None)
        return notice("image-was-deleted" if was_there else "image-not-created", number=number)


def _completed_future(picture: Picture | None) -> "asyncio.Future[Picture | None]":
    future: asyncio.Future[Picture | None] = asyncio.get_running_loop().create_future()
    future.set_result(picture)
    return future
