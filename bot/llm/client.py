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

from bot.llm.completions import CompletionReader, RequestOptions, build_request, narrow_options
from bot.llm.messages import ChatMessage, ModelEvent, ModelFailed, ModelProfile, RequestProtocol, Tool
from bot.llm.model_profiles import find_profile
from bot.llm.provider_errors import (
    READ_TIMEOUT,
    RETRY_DELAY,
    RequestFailure,
    classify_error,
    drop_unsupported,
    explain,
    explain_too_long,
    reduce_context,
)
from bot.llm.token_budget import estimate_message_tokens
from bot.notices import Notice, notice

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 5.0  # seconds


class OpenAICompatible:
    """A model behind a `/v1/chat/completions`: OpenAI, vLLM, Ollama, llama.cpp, LM Studio and similar."""

    def __init__(
        self, model: str, base_url: str | None, api_key: str | None, *, model_profile: ModelProfile | None = None
    ) -> None:
        """Without `base_url` the server is OpenAI's own. Local servers accept any key, so `api_key` may be None.

        Without `model_profile` the profile is looked up by the name of the model.
        """
        timeout = httpx2.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT)
        self._client = AsyncOpenAI(base_url=base_url, api_key=api_key or "none", timeout=timeout, max_retries=0)
        self.model = model
        self.server = str(self._client.base_url.copy_with(userinfo=b""))
        self._profile = model_profile or find_profile(model, self.server)
        self._options = RequestOptions(has_system_message=self._profile.takes_system_message)

    @property
    def profile(self) -> ModelProfile:
        """The model profile, without the features that the server refused so far."""
        return replace(
            self._profile,
            request_protocol=self._profile.request_protocol if self.takes_tools else RequestProtocol.TAGS,
            has_vision=self._profile.has_vision and self._options.max_images > 0,
            takes_system_message=self._options.has_system_message,
        )

    @property
    def takes_tools(self) -> bool:
        """Whether requests may offer tools: True until the server refuses them."""
        return self._options.has_tools

    def update_profile(self, *, request_protocol: RequestProtocol, thinks_first: bool) -> None:
        """Replace these fields of the profile by the results of the protocol probe."""
        self._profile = replace(self._profile, request_protocol=request_protocol, thinks_first=thinks_first)

    async def stream(self, history: Sequence[ChatMessage], tools: Sequence[Tool] = ()) -> AsyncGenerator[ModelEvent]:
        """Stream the answer.

        A request that fails before the answer begins is sent again: without the feature that the server refuses, or
        once unchanged if the failure is temporary. Ends with `StreamEnd` or `ModelFailed`.
        """
        form, tried = self._options, False
        while True:
            answer = CompletionReader()
            try:
                async with aclosing(
                    self._send_request(build_request(self.model, history, tools, form), answer)
                ) as events:
                    async for event in events:
                        self._options = form  # the server answered, so it accepts these options
                        yield event
                if answer.has_reasoning_field:
                    self._profile = replace(self._profile, thinks_first=False)
                return
            except Exception as error:  # bad data from a server makes the client's parser raise anything
                refused = classify_error(error, answer.has_begun)
            sent = narrow_options(history, tools, form)
            if instead := drop_unsupported(refused, form, sent):
                what, form = instead
                log.info("the chat model's server refuses %s: it is asked again without", what)
            elif refused.is_temporary and not tried:
                tried = True
                await asyncio.sleep(RETRY_DELAY if refused.retry_after is None else refused.retry_after)
            else:
                break
        for call in answer.end_after_error():
            yield call
        log.warning("the chat model failed: %s, status %s", type(refused.error).__name__, refused.status)
        yield ModelFailed(self._explain_failure(refused, history))

    async def _send_request(self, body: dict[str, object], reader: CompletionReader) -> AsyncGenerator[ModelEvent]:
        """Send one request and stream its events. Raises EmptyResponse, and all errors of the client."""
        chunks = await self._client.post(
            "/chat/completions", body=body, cast_to=object, stream=True, stream_cls=AsyncStream[object]
        )
        async with chunks:
            if "json" in chunks.response.headers.get("content-type", ""):  # the server does not stream
                for event in reader.feed(_check_completion(from_json(await chunks.response.aread()), chunks.response)):
                    yield event
            else:
                async for data in chunks:
                    for event in reader.feed(data):
                        yield event
        if not reader.has_begun:
            raise EmptyResponse
        for last in reader.end():
            yield last

    def _explain_failure(self, failure: RequestFailure, history: Sequence[ChatMessage]) -> Notice:
        if isinstance(failure.error, EmptyResponse):
            return notice("chat-nothing", server=self.server)
        if failure.is_too_long and not failure.has_begun:
            context = reduce_context(
                self._profile.context_window, sum(map(estimate_message_tokens, history)), failure.text
            )
            shortened = context < self._profile.context_window
            self._profile = replace(self._profile, context_window=context)
            return explain_too_long(shortened)
        return explain(failure, self.model, self.server)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


class EmptyResponse(Exception):
    """The server sent an empty response."""


def _check_completion(data: object, response: httpx2.Response) -> object:
    """Return the completion. Raises APIError if the body of a successful response is an error."""
    if isinstance(data, dict) and data.get("error"):
        raise openai.APIError("an error", response.request, body=data["error"])
    return data
