"""A chat model behind an OpenAI-compatible server, with retries that leave out the features that the server refuses."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

import httpx2
import openai
from openai import AsyncOpenAI, AsyncStream
from pydantic_core import from_json

from bot.llm.completions import Answer, Form, contained, request
from bot.llm.messages import FrontEnd, Manners, ModelEvent, ModelFailed, Said, Tool
from bot.llm.model_profiles import profile
from bot.llm.provider_errors import PAUSE, SILENCE, Refusal, explain, refusal, smaller, too_long, without_it
from bot.llm.token_budget import cost

log = logging.getLogger(__name__)

CONNECT = 5.0  # seconds


class OpenAICompatible:
    """A model behind a `/v1/chat/completions`: OpenAI, vLLM, Ollama, llama.cpp, LM Studio and similar."""

    def __init__(
        self, model: str, base_url: str | None, api_key: str | None, *, manners: Manners | None = None
    ) -> None:
        """Without `base_url` the server is OpenAI's own. Local servers accept any key, so `api_key` may be None.

        Without `model_profile` the profile is looked up by the name of the model.
        """
        timeout = httpx2.Timeout(SILENCE, connect=CONNECT)
        self._client = AsyncOpenAI(base_url=base_url, api_key=api_key or "none", timeout=timeout, max_retries=0)
        self.model = model
        self.server = str(self._client.base_url.copy_with(userinfo=b""))
        self._manners = manners or profile(model, self.server)
        self._form = Form(system=self._manners.system_role)

    @property
    def manners(self) -> Manners:
        """The model profile, without the features that the server refused so far."""
        return replace(
            self._manners,
            front_end=self._manners.front_end if self.takes_tools else FrontEnd.TAGS,
            sees=self._manners.sees and self._form.images > 0,
            system_role=self._form.system,
        )

    @property
    def takes_tools(self) -> bool:
        """Whether requests may offer tools: True until the server refuses them."""
        return self._form.tools

    def adopt(self, *, front_end: FrontEnd, thinks_first: bool) -> None:
        """Replace these fields of the profile by the results of the protocol probe."""
        self._manners = replace(self._manners, front_end=front_end, thinks_first=thinks_first)

    async def listen(self, transcript: Sequence[Said], tools: Sequence[Tool] = ()) -> AsyncGenerator[ModelEvent]:
        """Stream the answer.

        A request that fails before the answer begins is sent again: without the feature that the server refuses, or
        once unchanged if the failure is temporary. Ends with `StreamEnd` or `ModelFailed`.
        """
        form, tried = self._form, False
        while True:
            answer = Answer()
            try:
                async with aclosing(self._ask(request(self.model, transcript, tools, form), answer)) as events:
                    async for event in events:
                        self._form = form  # the server answered, so it accepts these options
                        yield event
                if answer.thinks_apart:
                    self._manners = replace(self._manners, thinks_first=False)
                return
            except Exception as error:  # bad data from a server makes the client's parser raise anything
                refused = refusal(error, answer.begun)
            sent = contained(transcript, tools, form)
            if instead := without_it(refused, form, sent):
                what, form = instead
                log.info("the chat model's server refuses %s: it is asked again without", what)
            elif refused.may_pass and not tried:
                tried = True
                await asyncio.sleep(PAUSE if refused.wait is None else refused.wait)
            else:
                break
        for call in answer.broken_off():
            yield call
        log.warning("the chat model failed: %s, status %s", type(refused.error).__name__, refused.status)
        yield ModelFailed(self._reason(refused, transcript))

    async def _ask(self, body: dict[str, object], answer: Answer) -> AsyncGenerator[ModelEvent]:
        """Send one request and stream its events. Raises EmptyResponse, and all errors of the client."""
        chunks = await self._client.post(
            "/chat/completions", body=body, cast_to=object, stream=True, stream_cls=AsyncStream[object]
        )
        async with chunks:
            if "json" in chunks.response.headers.get("content-type", ""):  # the server does not stream
                for event in answer.feed(_checked(from_json(await chunks.response.aread()), chunks.response)):
                    yield event
            else:
                async for data in chunks:
                    for event in answer.feed(data):
                        yield event
        if not answer.begun:
            raise Silent
        for last in answer.end():
            yield last

    def _reason(self, refused: Refusal, transcript: Sequence[Said]) -> str:
        if isinstance(refused.error, Silent):
            return f"Nothing came from {self.server}: check OPENAI_BASE_URL, which ends in /v1."
        if refused.is_too_long and not refused.begun:
            context = smaller(self._manners.context, sum(map(cost, transcript)), refused.words)
            shortened = context < self._manners.context
            self._manners = replace(self._manners, context=context)
            return too_long(shortened)
        return explain(refused, self.model, self.server)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


class Silent(Exception):
    """The server sent an empty response."""


def _checked(data: object, response: httpx2.Response) -> object:
    """Return the completion. Raises APIError if the body of a successful response is an error."""
    if isinstance(data, dict) and data.get("error"):
        raise openai.APIError("an error", response.request, body=data["error"])
    return data
