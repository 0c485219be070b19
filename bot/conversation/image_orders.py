"""The image orders of one reply: from an image request to a checked job with its final prompt."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from bot.capabilities import ModelCapabilities
from bot.conversation.alt_text import write_alt_text
from bot.conversation.buttons import apply_settings
from bot.conversation.permissions import check_blocked_words, check_limits
from bot.conversation.prompt_refiner import PromptRefiner
from bot.conversation.turn_context import PictureFolder
from bot.domain import Entry, ImageRequest, Operation, Picture, RenderJob
from bot.settings.styles import BUILT_IN_STYLES, Style, apply_style, find_lora_style
from bot.settings.values import Settings
from bot.storage.store import Store


class ImageOrders:
    """Orders the images of one reply: applies settings, limits and styles, refines prompts, adds alternative texts."""

    def __init__(
        self,
        store: Store,
        entry: Entry,
        settings: Settings,
        refiner: PromptRefiner,
        picture_folder: PictureFolder,
        moderate: Callable[[str], Awaitable[None]] | None = None,
        styles: Mapping[str, Style] = BUILT_IN_STYLES,
    ) -> None:
        """`moderate` raises Refused for a prompt that must not be rendered."""
        self._moderate = moderate
        self._styles = styles
        self._store = store
        self._entry = entry
        self._settings = settings
        self._refiner = refiner
        self._picture_folder = picture_folder

    def order(self, request: ImageRequest, source_number: int | None) -> RenderJob:
        """Record and return the job for a request; a known request returns its recorded job. Raises Refused."""
        chosen = request if self._entry.fixed_requests else apply_settings(request, self._settings)
        return self._store.jobs.order(
            self._entry.id,
            request,
            source_number,
            ratio=chosen.ratio,
            model=chosen.model,
            allow=lambda: self._check_allowed(request),
        )

    def _check_allowed(self, request: ImageRequest) -> None:
        settings, entry = self._settings, self._entry
        check_blocked_words(settings, request.prompt)
        if settings.daily or settings.server_daily or settings.at_once:
            check_limits(settings, self._store.jobs.usage_today(entry.thread, entry.author.id))

    async def refine(self, job: RenderJob, capabilities: ModelCapabilities) -> RenderJob:
        """The job with the prompt, LoRA and metadata for the image model; the prompt is checked. Raises Refused."""
        job = replace(job, embeds_metadata=self._settings.metadata, source_prompt=self._source_prompt(job))
        style = self._styles.get(self._settings.style, Style())
        wears = style if job.operation is Operation.GENERATE else find_lora_style(self._styles, job.source_prompt)
        job = replace(job, lora=wears.lora, lora_scale=wears.lora_scale)
        known = bool(job.refined)  # refined before a restart or a Retry: checked again, not changed
        job = await self._refiner(job, capabilities)
        drawn = job.refined or job.prompt
        if job.operation is Operation.GENERATE and not known:
            drawn = apply_style(drawn, self._settings.style, style)
        check_blocked_words(self._settings, job.prompt, drawn)
        if self._moderate and drawn:
            await self._moderate(drawn)
        if drawn != (job.refined or job.prompt):
            self._store.jobs.refine(job, drawn)
            job = replace(job, refined=drawn)
        return job

    def _source_prompt(self, job: RenderJob) -> str:
        """The prompt that the image model received for the source image; empty without a source."""
        start = self._store.picture(job.thread, job.parent) if job.parent else None
        return start.refined or start.prompt if start else ""

    async def describe(self, picture: Picture) -> Picture:
        """The picture with an alternative text by the chat model, which is recorded.

        The picture stays as it is if the setting is off, its file is gone, or the model returns no text.
        """
        if not self._settings.describe:
            return picture
        try:
            jpeg = await self._picture_folder.read_thumbnail(picture.digest)
        except OSError:  # the file is gone
            return picture
        alt = await write_alt_text(self._refiner.model, jpeg, picture.prompt)
        if not alt:
            return picture
        better = replace(picture, alt=alt)
        self._store.update_picture(self._entry.thread, better)
        return better

    def is_available(self, number: int) -> bool:
        """Whether the image with this number is finished and not deleted."""
        return self._store.picture(self._entry.thread, number) is not None
