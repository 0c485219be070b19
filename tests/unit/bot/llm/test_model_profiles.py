"""Model profiles by the names of chat models, in the spellings of servers and hubs."""

import pytest

from bot.llm.messages import ModelProfile, RequestProtocol
from bot.llm.model_profiles import MAX_CONTEXT, OLLAMA_CONTEXT, find_profile, override_profile

TAGS, TOOLS = RequestProtocol.TAGS, RequestProtocol.TOOLS


@pytest.mark.parametrize(
    ("name", "protocol", "context"),
    [
        ("gpt-4.1-mini", TAGS, MAX_CONTEXT),
        ("gpt-4.1-nano", TOOLS, MAX_CONTEXT),
        ("gpt-5-mini", TOOLS, MAX_CONTEXT),
        ("gpt-5.2", TAGS, MAX_CONTEXT),
        ("openai/gpt-4o", TAGS, MAX_CONTEXT),
        ("gpt-4", TAGS, 8_192),
        ("gpt-3.5-turbo", TAGS, 16_385),
        ("openai/gpt-oss-20b", TAGS, MAX_CONTEXT),
        ("anthropic/claude-sonnet-4.5", TOOLS, MAX_CONTEXT),
        ("gemini-2.5-flash", TAGS, MAX_CONTEXT),
        ("meta-llama/Llama-2-13b-chat-hf", TAGS, 4_096),
        ("llama2:7b", TAGS, 4_096),
        ("Meta-Llama-3-8B-Instruct", TAGS, 8_192),
        ("llama3.1:8b", TAGS, MAX_CONTEXT),
        ("meta-llama/Llama-3.3-70B-Instruct", TAGS, MAX_CONTEXT),
        ("/models/Llama-3.2-3B-Instruct-Q4_K_M.gguf", TAGS, MAX_CONTEXT),
        ("baichuan-inc/Baichuan2-13B-Chat", TAGS, 4_096),
        ("Baichuan-M2-32B", TAGS, 32_768),
        ("internlm/internlm-chat-7b", TAGS, 8_192),
        ("internlm/internlm2_5-7b-chat", TAGS, 32_768),
        ("internlm3-8b-instruct", TAGS, 32_768),
        ("THUDM/chatglm3-6b", TAGS, 8_192),
        ("THUDM/glm-4-9b-chat", TAGS, MAX_CONTEXT),
        ("Qwen/Qwen2.5-7B-Instruct", TAGS, 32_768),
        ("qwen3:8b", TAGS, 32_768),
        ("mistralai/Mistral-Nemo-Instruct-2407", TOOLS, MAX_CONTEXT),
        ("mistral-large-latest", TOOLS, MAX_CONTEXT),
        ("google/gemma-2-9b-it", TAGS, 8_192),
        ("gemma3:12b", TAGS, 32_768),
        ("microsoft/Phi-3-mini-4k-instruct", TAGS, 4_096),
        ("microsoft/Phi-3-mini-128k-instruct", TAGS, MAX_CONTEXT),
        ("phi4", TAGS, 16_384),
        ("deepseek-chat", TAGS, MAX_CONTEXT),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", TAGS, MAX_CONTEXT),
        ("deepseek-ai/deepseek-llm-7b-chat", TAGS, 4_096),
    ],
)
def test_families_are_known_by_any_spelling(name: str, protocol: RequestProtocol, context: int) -> None:
    """Hub ids, file names and `name:size` lead to the same family."""
    assert (find_profile(name).request_protocol, find_profile(name).context_window) == (protocol, context)


def test_an_unknown_model_has_the_defaults() -> None:
    """An unknown name changes no default."""
    assert find_profile("local-model") == ModelProfile()
    assert find_profile("") == ModelProfile()


@pytest.mark.parametrize(
    "name",
    "gpt-4o gpt-4.1-mini gpt-5 o3 o4-mini claude-3-5-haiku gemini-2.0-flash llava:13b llava-v1.6-mistral-7b bakllava"
    " Qwen/Qwen2.5-VL-7B-Instruct qwen3-vl:8b Qwen2-VL-2B gemma3:4b google/gemma-3-27b-it pixtral-12b-2409"
    " llama3.2-vision:11b Llama-3.2-11B-Vision-Instruct meta-llama/Llama-4-Scout-17B OpenGVLab/InternVL2_5-8B"
    " openbmb/MiniCPM-V-2_6 minicpm-v Mistral-Small-3.1-24B mistral-small3.2 mistral-small-2506 glm-4v-9b GLM-4.1V-9B"
    " Phi-3.5-vision-instruct Phi-4-multimodal-instruct moondream SmolVLM-Instruct deepseek-vl2 DeepSeek-VL-7B".split(),
)
def test_models_with_vision_are_known(name: str) -> None:
    """They get images without a configuration."""
    assert find_profile(name).has_vision


@pytest.mark.parametrize(
    "name",
    "gpt-3.5-turbo gpt-4 gpt-oss-120b o3-mini o1-mini qwen3:8b Qwen2.5-Coder-7B llama3.2:3b Llama-3.1-8B deepseek-chat"
    " gemma2 gemma3:1b gemma-3-270m-it phi4 mistral-nemo mistral-7b mistral-small-2501 internlm3-8b Baichuan2-13B-Chat"
    " glm-4-9b-chat chatglm3-6b evil-7b".split(),
)
def test_models_without_vision_get_no_images(name: str) -> None:
    """A server refuses an image for them."""
    assert not find_profile(name).has_vision


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("deepseek-r1:14b", True),
        ("DeepSeek-R1-Distill-Llama-8B", True),
        ("Qwen/QwQ-32B", True),
        ("Qwen3-4B-Thinking-2507", True),
        ("qwen3:8b", False),  # it writes both tags
        ("deepseek-reasoner", False),  # its server puts the thoughts into a field of their own
        ("deepseek-v3", False),
    ],
)
def test_models_whose_reasoning_has_no_opening_tag_are_known(name: str, first: bool) -> None:
    """Their template opens the reasoning, so the answer has only the closing tag."""
    assert find_profile(name).thinks_first is first


@pytest.mark.parametrize(
    ("name", "system"),
    [
        ("gemma-2-9b-it", False),
        ("google/gemma-3-27b-it", False),
        ("mistralai/Mistral-7B-Instruct-v0.2", False),
        ("mixtral:8x7b", False),
        ("llama2:13b", False),
        ("llama3.1", True),
        ("mistral-small-2506", True),
        ("qwen2.5", True),
    ],
)
def test_templates_without_a_system_role_are_known(name: str, system: bool) -> None:
    """They refuse the system role, or ignore it."""
    assert find_profile(name).takes_system_message is system


def test_ollama_gets_the_context_window_that_it_keeps() -> None:
    """It silently drops what does not fit, so its own default applies until another is configured."""
    assert find_profile("qwen3:8b", "http://127.0.0.1:11434/v1/").context_window == OLLAMA_CONTEXT
    assert (
        override_profile(find_profile("qwen3:8b", "http://127.0.0.1:11434/v1/"), context=16_384).context_window
        == 16_384
    )


def test_the_configuration_overrides_the_profile() -> None:
    """Each variable alone, and `auto` changes nothing."""
    known = ModelProfile(TOOLS, 32_768, has_vision=True, takes_system_message=False, thinks_first=True)
    assert override_profile(known) == known
    assert override_profile(known, protocol="tags").request_protocol is TAGS
    assert override_profile(ModelProfile(), protocol="tools").request_protocol is TOOLS
    assert not override_profile(known, vision="off").has_vision
    assert override_profile(ModelProfile(), vision="on").has_vision
    assert override_profile(known, context=2_000) == ModelProfile(
        TOOLS, 2_000, has_vision=True, takes_system_message=False, thinks_first=True
    )
