"""Model profiles by the names of chat models. Pure; configuration, protocol probe and server override them.

The request protocol follows the Berkeley Function-Calling Leaderboard v4 (prompt mode against native calls, single
turn): Qwen, Gemini and GPT-4.1 do as well or better in prompt mode; Claude, Mistral and the small GPT models do better
with native calls. Too little is known about other models; they use tags, which work with every model.
"""

import re
from dataclasses import replace
from typing import Literal

from bot.llm.messages import ModelProfile, RequestProtocol

MAX_CONTEXT = 32_768  # tokens: every turn pays for the whole history, so only the configuration may set more
OLLAMA_CONTEXT = 4096  # tokens: Ollama's default; it silently drops input beyond its context window

_CONTEXT_128K = 131_072


def _family(
    pattern: str, context: int, *, tools: bool = False, system: bool = True
) -> tuple[re.Pattern[str], ModelProfile]:
    front_end = RequestProtocol.TOOLS if tools else RequestProtocol.TAGS
    return re.compile(pattern), ModelProfile(front_end, context, takes_system_message=system)


# The first pattern found in the name wins: names of distilled models begin with the name of the larger model.
FAMILIES = (
    _family(r"gpt-5(?:\.\d+)?-(?:mini|nano)|gpt-4\.1-nano", 400_000, tools=True),
    _family(r"gpt-4\.1", 1_000_000),
    _family(r"gpt-(?:5|4o|4-turbo|oss)|chatgpt-4o|^o[134]\b", _CONTEXT_128K),
    _family(r"gpt-4", 8_192),
    _family(r"gpt-3\.5", 16_385),
    _family(r"claude", 200_000, tools=True),
    _family(r"gemini", 1_000_000),
    _family(r"deepseek-(?:llm|coder-\d)", 4_096),
    _family(r"deepseek", _CONTEXT_128K),
    _family(r"mistral-7b|mixtral|pixtral", 32_768, tools=True, system=False),
    _family(r"mistral|ministral|magistral|codestral|devstral", _CONTEXT_128K, tools=True),
    _family(r"code-?llama", 16_384),
    _family(r"llama-?2(?![\d.])", 4_096, system=False),
    _family(r"llama-?3(?![\d.])", 8_192),
    _family(r"llama", _CONTEXT_128K),
    _family(r"baichuan-?(?:7b|13b|2)", 4_096),
    _family(r"baichuan", 32_768),
    _family(r"internlm-(?:chat-)?\d+b", 8_192),
    _family(r"internlm|internvl|intern-s", 32_768),
    _family(r"chatglm", 8_192),
    _family(r"glm", _CONTEXT_128K),
    _family(r"qwen|qwq|qvq", 32_768),
    _family(r"gemma-?[34]", 32_768, system=False),
    _family(r"gemma", 8_192, system=False),
    _family(r"phi-?4", 16_384),
    _family(r"phi-?3.*128k|phi-?3\.5", _CONTEXT_128K),
    _family(r"phi", 4_096),
)

VISION_MODELS = re.compile(
    r"gpt-(?:4o|4\.1|4\.5|4-turbo|5)|chatgpt-4o|^o[134](?!-?mini|-preview)\b|^o4|claude|gemini|llava|bakllava|moondream"
    r"|vision|multimodal|(?:^|[-_.\d])vl(?:\d|\b|m\b)|qwen.*-omni|qvq|internvl|intern-s1|minicpm-?[vo]|pixtral"
    r"|mistral-(?:small-?3\.[1-9]|small-25(?:0[3-9]|1)|medium)|gemma-?3|gemma-?4|llama-?4|glm-?4(?:\.\d)?v|molmo|idefics|smolvlm"
    r"|cogvlm|janus|phi-?4-?mm"
)
NO_VISION_MODELS = re.compile(r"gemma-?3[-:](?:270m|1b)|gpt-(?:4o|4\.1|5)[^/]*-(?:audio|transcribe|tts)")
THINKS_FIRST_MODELS = re.compile(r"deepseek-?r1|r1-distill|\br1[-:]\d+b|qwq|qwen-?3.*thinking|glm-.*thinking|intern-s1")


def find_profile(model: str, server: str = "") -> ModelProfile:
    """Return the profile for a model name (hub id, file name or `name:size`) on a server at this URL."""
    name = re.sub(r"[\s_]", "-", model.lower().rpartition("/")[2])
    known = next((profile for pattern, profile in FAMILIES if pattern.search(name)), ModelProfile())
    most = OLLAMA_CONTEXT if ":11434" in server else MAX_CONTEXT
    return replace(
        known,
        context_window=min(known.context_window, most),
        has_vision=bool(VISION_MODELS.search(name)) and not NO_VISION_MODELS.search(name),
        thinks_first=bool(THINKS_FIRST_MODELS.search(name)),
    )


def override_profile(
    base: ModelProfile,
    *,
    protocol: Literal["auto", "tags", "tools"] = "auto",
    vision: Literal["auto", "on", "off"] = "auto",
    context: int | None = None,
) -> ModelProfile:
    """Return the base profile with the values that the configuration sets."""
    return replace(
        base,
        request_protocol=base.request_protocol if protocol == "auto" else RequestProtocol(protocol),
        has_vision=base.has_vision if vision == "auto" else vision == "on",
        context_window=context or base.context_window,
    )
