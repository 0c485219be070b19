"""Any OpenAI-compatible server as a chat model: streamed chat completions, and a sentence for every failure."""

import logging
from collections.abc import AsyncGenerator, Sequence

import httpx2
import openai
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam

from bot.domain import Delta, Manners, ModelEvent, ModelFailed, Role, Said, Stopped, Tool

log = logging.getLogger(__name__)

CONNECT = 5.0  # seconds
SILENCE = 90.0  # seconds without a single character


class OpenAICompatible:
    """A model behind a `/v1/chat/completions`: OpenAI, vLLM, Ollama, llama.cpp, LM Studio and their kin."""

    def __init__(self, model: str, base_url: str | None, api_key: str | None) -> None:
        """Without `base_url` it is OpenAI's own server. Local servers take any key, so none is needed for them."""
        timeout = httpx2.Timeout(SILENCE, connect=CONNECT)
        self._client = AsyncOpenAI(base_url=base_url, api_key=api_key or "none", timeout=timeout, max_retries=1)
        self._model = model
        self._server = str(self._client.base_url.copy_with(userinfo=b""))

    @property
    def manners(self) -> Manners:
        """What this model wants and can do."""
        return Manners()

    async def listen(self, transcript: Sequence[Said], tools: Sequence[Tool] = ()) -> AsyncGenerator[ModelEvent]:
        """Stream the answer."""
        messages: list[ChatCompletionMessageParam] = [_message(said) for said in transcript]
        finished: str | None = None
        answered = False
        try:
            async with await self._client.chat.completions.create(
                model=self._model, messages=messages, stream=True
            ) as chunks:
                async for chunk in chunks:
                    answered = True
                    for choice in chunk.choices or ():  # servers send null, or none with the usage
                        if choice.delta and choice.delta.content:
                            yield Delta(choice.delta.content)
                        finished = choice.finish_reason or finished
        except Exception as error:  # servers send what breaks the client's own parser, in any way
            log.warning("the chat model failed: %s", type(error).__name__)
            yield ModelFailed(explain(error, self._model, self._server))
        else:
            if answered:
                yield Stopped(truncated=finished != "stop")  # no reason: the connection was closed in the middle
            else:
                yield ModelFailed(f"Nothing came from {self._server}: check OPENAI_BASE_URL, which ends in /v1.")

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.close()


def _message(said: Said) -> ChatCompletionMessageParam:
    match said.role:
        case Role.SYSTEM:
            return {"role": "system", "content": said.text}
        case Role.USER:
            return {"role": "user", "content": said.text}
        case Role.ASSISTANT:
            return {"role": "assistant", "content": said.text}


def explain(error: Exception, model: str, server: str) -> str:
    """A plain sentence: what happened, and what can be done. Never the server's own text, which may hold anything."""
    match error:
        case openai.APITimeoutError():
            return f"The chat model did not answer within {SILENCE:.0f} seconds."
        case openai.APIConnectionError():
            return f"The chat model at {server} cannot be reached."
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return f"The chat model's server at {server} refused the key: check OPENAI_API_KEY."
        case openai.NotFoundError():
            return f"The server at {server} knows no model {model!r}: check LLM_MODEL and OPENAI_BASE_URL."
        case openai.RateLimitError():
            return "The chat model is overloaded or the account's limit is reached; try again in a minute."
        case openai.BadRequestError() | openai.UnprocessableEntityError() if "context" in str(error).lower():
            return "The conversation has grown too long for the chat model; start a new thread."
        case openai.APIStatusError():
            return f"The chat model's server answered with an error (HTTP {error.status_code})."
        case openai.APIError():
            return "The chat model's server broke off with an error."
        case _:
            return "The chat model's server answered with something that is not a chat completion."
