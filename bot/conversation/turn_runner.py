"""Runs the turn of one message from its first view to its recorded final view."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial

from bot.conversation.edits_and_deletions import EditsAndDeletions
from bot.conversation.image_orders import ImageOrders
from bot.conversation.pacer import Pacer
from bot.conversation.prompt_refiner import PromptRefiner
from bot.conversation.recorded_answer import RecordedAnswer
from bot.conversation.reply import Event, Reply, offer_retry
from bot.conversation.running_reply import RunningReplies, RunningReply
from bot.conversation.turn import answer
from bot.conversation.turn_context import build_turn
from bot.domain import Entry
from bot.errors import Unreachable
from bot.notices import notice
from bot.ports import ChatModel, PictureFolder, Renderer, Surface
from bot.settings.styles import Style
from bot.settings.values import Settings
from bot.storage.store import Store

log = logging.getLogger(__name__)


class TurnRunner:
    """Runs turns. A reply always ends visibly and is recorded as final, unless its place or the disk is lost."""

    def __init__(
        self,
        store: Store,
        renderer: Renderer,
        picture_folder: PictureFolder,
        *,
        choose_model: Callable[[Settings], ChatModel],
        replies: RunningReplies,
        edits_and_deletions: EditsAndDeletions,
        moderate: Callable[[str], Awaitable[None]] | None,
        styles: Mapping[str, Style],
    ) -> None:
        """`moderate` raises Refused for a prompt that must not be rendered."""
        self._store = store
        self._renderer = renderer
        self._picture_folder = picture_folder
        self._choose_model = choose_model
        self._replies = replies
        self._edits_and_deletions = edits_and_deletions
        self._moderate = moderate
        self._styles = styles

    async def run(self, entry: Entry, settings: Settings, surface: Surface) -> None:
        """Run the turn of a message, show the reply on the surface, and record its final view."""
        self._store.clear_edited(entry.id)
        pacer = Pacer(surface)
        running = RunningReply(Reply(entry.id), pacer, previews=settings.previews)
        self._replies.add(running)
        showing = asyncio.create_task(pacer.run())
        showing.add_done_callback(partial(_stop_if_unreachable, running))
        try:
            await running.run(self._answer(entry, settings, running.on_event))
            self._store.jobs.cancel_all(entry.id, running.stop_reason or notice("request-withdrawn"))
            shown = running.view
            with suppress(Unreachable):  # the reply cannot be displayed any more
                await showing
            last = running.view  # an image may have been deleted meanwhile
            if self._store.is_edited(entry.id):
                last = offer_retry(last, entry.id)
            self._store.finish(entry.id, last)
            if last != shown:
                self._edits_and_deletions.update_reply(entry, last)
        except Exception:  # a full disk, a lost platform: the next start resumes the reply
            log.exception("the reply to %s is not final", entry.id)
        finally:
            showing.cancel()
            self._replies.remove(running)

    async def _answer(self, entry: Entry, settings: Settings, show: Callable[[Event], None]) -> None:
        """Build the turn of a message and run it with the chat model that the settings choose."""
        chat_model = self._choose_model(settings)
        turn = await build_turn(
            entry,
            self._store,
            self._picture_folder,
            capabilities=self._renderer.capabilities,
            profile=chat_model.profile,
            persona=settings.persona,
            language=settings.language,
        )
        orders = ImageOrders(
            turn,
            entry,
            settings,
            show,
            store=self._store,
            renderer=self._renderer,
            refiner=PromptRefiner(chat_model, self._store.jobs, settings.improve_prompts),
            picture_folder=self._picture_folder,
            moderate=self._moderate,
            styles=self._styles,
        )
        highest_number = turn.context().last_picture_number
        await answer(turn, RecordedAnswer(chat_model, self._store, entry.id, highest_number), orders, show)


def _stop_if_unreachable(running: RunningReply, task: "asyncio.Task[None]") -> None:
    """Stop a reply that cannot be displayed: nobody would see its images."""
    if not task.cancelled() and isinstance(error := task.exception(), Unreachable):
        running.stop(error.notice)
