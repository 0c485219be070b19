"""What is known of chat models by their names. Pure; settings, the probe and what a server refuses go before it.

Whether tags or tools suit a model follows the Berkeley Function-Calling Leaderboard v4 (prompt mode against native
calls, single turn): Qwen, Gemini and GPT-4.1 do as well or better with what the prompt asks for, Claude, Mistral and
the small GPT models better with native calls. Of the others too little is known, and tags work everywhere.
"""

import re
from dataclasses import replace
from typing import Literal

from bot.speech import FrontEnd, Manners

LARGEST = 32_768  # tokens: a long thread is paid for with every turn, so more is used only where it is set
OLLAMA = 4096  # tokens, unless it is started with more; what is beyond, it drops without a word

_LARGE = 131_072


def _family(pattern: str, context: int, *, tools: bool = False, system: bool = True) -> tuple[re.Pattern[str], Manners]:
    front_end = FrontEnd.TOOLS if tools else FrontEnd.TAGS
    return re.compile(pattern), Manners(front_end, context, system_role=system)


# The first that is found in the name counts: distilled models bear the name of the larger one first.
FAMILIES = (
    _family(r"gpt-5(?:\.\d+)?-(?:mini|nano)|gpt-4\.1-nano", 400_000, tools=True),
    _family(r"gpt-4\.1", 1_000_000),
    _family(r"gpt-(?:5|4o|4-turbo|oss)|chatgpt-4o|^o[134]\b", _LARGE),
    _family(r"gpt-4", 8_192),
    _family(r"gpt-3\.5", 16_385),
    _family(r"claude", 200_000, tools=True),
    _family(r"gemini", 1_000_000),
    _family(r"deepseek-(?:llm|coder-\d)", 4_096),
    _family(r"deepseek", _LARGE),
    _family(r"mistral-7b|mixtral|pixtral", 32_768, tools=True, system=False),
    _family(r"mistral|ministral|magistral|codestral|devstral", _LARGE, tools=True),
    _family(r"code-?llama", 16_384),
    _family(r"llama-?2(?![\d.])", 4_096, system=False),
    _family(r"llama-?3(?![\d.])", 8_192),
    _family(r"llama", _LARGE),
    _family(r"baichuan-?(?:7b|13b|2)", 4_096),
    _family(r"baichuan", 32_768),
    _family(r"internlm-(?:chat-)?\d+b", 8_192),
    _family(r"internlm|internvl|intern-s", 32_768),
    _family(r"chatglm", 8_192),
    _family(r"glm", _LARGE),
    _family(r"qwen|qwq|qvq", 32_768),
    _family(r"gemma-?[34]", 32_768, system=False),
    _family(r"gemma", 8_192, system=False),
    _family(r"phi-?4", 16_384),
    _family(r"phi-?3.*128k|phi-?3\.5", _LARGE),
    _family(r"phi", 4_096),
)

SEES = re.compile(
    r"gpt-(?:4o|4\.1|4\.5|4-turbo|5)|chatgpt-4o|^o[134](?!-?mini|-preview)\b|^o4|claude|gemini|llava|bakllava|moondream"
    r"|vision|multimodal|(?:^|[-_.\d])vl(?:\d|\b|m\b)|qwen.*-omni|qvq|internvl|intern-s1|minicpm-?[vo]|pixtral"
    r"|mistral-(?:small-?3\.[1-9]|small-25(?:0[3-9]|1)|medium)|gemma-?3|gemma-?4|llama-?4|glm-?4(?:\.\d)?v|molmo|idefics|smolvlm"
    r"|cogvlm|janus|phi-?4-?mm"
)
BLIND = re.compile(r"gemma-?3[-:](?:270m|1b)|gpt-(?:4o|4\.1|5)[^/]*-(?:audio|transcribe|tts)")
THINKS_FIRST = re.compile(r"deepseek-?r1|r1-distill|\br1[-:]\d+b|qwq|qwen-?3.*thinking|glm-.*thinking|intern-s1")


def profile(model: str, server: str = "") -> Manners:
    """What is known of a model of this name, be it a hub id, a file, or `name:size`, on a server at this address."""
    name = re.sub(r"[\s_]", "-", model.lower().rpartition("/")[2])
    known = next((manners for pattern, manners in FAMILIES if pattern.search(name)), Manners())
    most = OLLAMA if ":11434" in server else LARGEST
    return replace(
        known,
        context=min(known.context, most),
        sees=bool(SEES.search(name)) and not BLIND.search(name),
        thinks_first=bool(THINKS_FIRST.search(name)),
    )


def settled(
    known: Manners,
    *,
    protocol: Literal["auto", "tags", "tools"] = "auto",
    vision: Literal["auto", "on", "off"] = "auto",
    context: int | None = None,
) -> Manners:
    """What is known, as far as nothing else is set."""
    return replace(
        known,
        front_end=known.front_end if protocol == "auto" else FrontEnd(protocol),
        sees=known.sees if vision == "auto" else vision == "on",
        context=context or known.context,
    )
