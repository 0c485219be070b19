"""A moderation endpoint on a real socket: flagged prompts, and a server that does not answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from bot.domain import Failed, PicturePart
from bot.errors import Refused
from bot.llm.moderation import Moderator
from bot.storage.store import Store
from tests.support.conversation import running
from tests.support.doubles import ScriptedModel, message

KINDS = "harassment hate self-harm sexual violence violence/graphic".split()


@asynccontextmanager
async def endpoint(answer: Any, status: int = 200) -> AsyncIterator[tuple[Moderator, list[Any]]]:
    """A moderator with a server that always gives the same answer, and the requests that it received."""
    requests: list[Any] = []

    async def moderations(request: web.Request) -> web.Response:
        requests.append(await request.json())
        return web.json_response(answer, status=status)

    app = web.Application()
    app.router.add_post("/v1/moderations", moderations)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    moderator = Moderator(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", "key", "guard")
    try:
        yield moderator, requests
    finally:
        await moderator.close()
        await runner.cleanup()


def verdict(*flagged: str) -> dict[str, Any]:
    """A response in the format of OpenAI's endpoint."""
    categories = {kind: kind in flagged for kind in KINDS}
    result = {"flagged": bool(flagged), "categories": categories, "category_scores": dict.fromkeys(KINDS, 0.1)}
    return {"id": "modr-1", "model": "guard", "results": [result | {"category_applied_input_types": {}}]}


async def test_a_harmless_prompt_passes() -> None:
    """The endpoint gets the prompt and the configured model."""
    async with endpoint(verdict()) as (moderator, requests):
        await moderator.check("a red circle")
        assert requests == [{"input": "a red circle", "model": "guard"}]


async def test_a_flagged_prompt_is_refused_with_its_categories() -> None:
    """The sentence names the categories; the prompt is not repeated."""
    async with endpoint(verdict("violence", "violence/graphic")) as (moderator, _):
        with pytest.raises(Refused, match=r"prompt: violence and violence graphic\.") as refused:
            await moderator.check("something bloody")
        assert "bloody" not in str(refused.value)


@pytest.mark.parametrize(
    ("answer", "status"), [({"error": "away"}, 500), ({"results": None}, 200), ([], 200), ({"results": []}, 200)]
)
async def test_without_an_answer_nothing_is_rendered(answer: Any, status: int) -> None:
    """An endpoint that is down, or returns nonsense, permits nothing."""
    async with endpoint(answer, status) as (moderator, _):
        with pytest.raises(Refused, match="does not answer"):
            await moderator.check("a red circle")


async def test_a_flagged_image_fails_in_its_place(store: Store) -> None:
    """The text of the reply is shown, and nothing is rendered."""
    async with endpoint(verdict("hate")) as (moderator, _):
        script = ["Here: <image>a sun</image> Done."]
        async with running(store, ScriptedModel([script]), moderate=moderator.check) as (inbox, screen, renderer):
            await inbox.accept(message("m1", "draw"))
            view = await screen.final("m1")
        (failed,) = [part.state for part in view.parts if isinstance(part, PicturePart)]
        assert isinstance(failed, Failed) and "hate" in str(failed.reason)
        assert renderer.jobs == [] and store.jobs.unfinished() == []
