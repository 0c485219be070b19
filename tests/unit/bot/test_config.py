"""The environment becomes a configuration, or one error that names every fault."""

from pathlib import Path

import pytest

from bot.config import Config, load_config, worker_environment
from bot.errors import ConfigError

SECRETS = ("OPENAI_API_KEY", "IMAGES_API_KEY", "WEB_TOKEN", "RENDER_TOKEN", "DISCORD_TOKEN")


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Config.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)  # away from anybody's .env


def faults(monkeypatch: pytest.MonkeyPatch, **environment: str) -> list[str]:
    """The sentences about this environment."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert caught.value.__cause__ is None
    return str(caught.value).splitlines()


def test_nothing_needs_to_be_set() -> None:
    """The defaults are a bot on this machine with the built-in models."""
    config = load_config()
    assert (config.web_host, config.web_port, config.web_token) == ("127.0.0.1", 8642, None)
    assert (config.image_model, config.render_urls, config.render_steps) == ("builtin", (), None)
    assert not config.has_chat_server


def test_an_empty_variable_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable may be there without a value, as in an env file that somebody filled in half."""
    plain = load_config()
    for name in Config.model_fields:
        monkeypatch.setenv(name.upper(), "")
    assert load_config() == plain


def test_what_is_set_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers, addresses and names arrive as they were written."""
    monkeypatch.setenv("WEB_PORT", "0")
    monkeypatch.setenv("RENDER_STEPS", "150")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1")
    monkeypatch.setenv("DATA_DIR", "/srv/bot")
    config = load_config()
    assert (config.web_port, config.render_steps, config.data_dir) == (0, 150, Path("/srv/bot"))
    assert config.openai_base_url == "http://127.0.0.1:11434/v1"
    assert config.has_chat_server


def test_an_env_file_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file named .env holds the same names; other programs' names in it are passed over."""
    Path(".env").write_text("WEB_PORT=1234\nLLM_MODEL=small\nOTHER=thing\n", encoding="utf-8")
    monkeypatch.setenv("LLM_MODEL", "large")
    config = load_config()
    assert (config.web_port, config.llm_model) == (1234, "large")


def test_all_faults_are_named_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """One run tells everything that is to be mended, a line each, with what was found there."""
    lines = faults(
        monkeypatch,
        WEB_PORT="x",
        RENDER_STEPS="0",
        OPENAI_BASE_URL="foo",
        RENDER_URLS="http://gpu:7801, ftp://worker",
        WEB_HOST="0.0.0.0",
        LOG_LEVEL="loud",
    )
    assert {line.split()[0]: line for line in lines}.keys() == {
        "WEB_PORT", "RENDER_STEPS", "OPENAI_BASE_URL", "RENDER_URLS", "WEB_HOST", "LOG_LEVEL"
    }  # fmt: skip
    for line, found in zip(
        sorted(lines), ("'loud'", "'foo'", "'0'", "'ftp://worker'", "'0.0.0.0'", "'x'"), strict=True
    ):
        assert found in line
        assert line.endswith(".")


@pytest.mark.parametrize(
    ("name", "value", "output"),
    [
        ("WEB_PORT", "x", "WEB_PORT must be a whole number, not 'x'."),
        ("WEB_PORT", "65536", "WEB_PORT must be at most 65535, not '65536'."),
        ("WEB_PORT", "-1", "WEB_PORT must be at least 0, not '-1'."),
        ("RENDER_STEPS", "0", "RENDER_STEPS must be at least 1, not '0'."),
        ("RENDER_STEPS", "151", "RENDER_STEPS must be at most 150, not '151'."),
        ("WEB_HOST", "0.0.0.0", "WEB_HOST must be 127.0.0.1 unless WEB_TOKEN is set, not '0.0.0.0'."),
        ("DISCORD_GUILD", "Our server", "DISCORD_GUILD must be a whole number, not 'Our server'."),
        ("DISCORD_API_URL", "discord.com", "DISCORD_API_URL cannot be understood, not 'discord.com'."),
        ("DISCORD_GATEWAY_URL", "https://gateway.discord.gg", "DISCORD_GATEWAY_URL cannot be understood"),
        ("DISCORD_CDN_URL", "ftp://cdn", "DISCORD_CDN_URL cannot be understood"),
        ("DISCORD_MESSAGE_CONTENT", "on", "DISCORD_MESSAGE_CONTENT must be 'auto' or 'off', not 'on'."),
        ("LOG_LEVEL", "loud", "DEBUG, INFO, WARNING or ERROR"),
    ],
)
def test_a_fault_is_reported_with_its_cure(monkeypatch: pytest.MonkeyPatch, name: str, value: str, output: str) -> None:
    """The sentence names the variable, what it must be, and what it is."""
    (line,) = faults(monkeypatch, **{name: value})
    assert output in line


def test_beyond_loopback_a_token_opens_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """With WEB_TOKEN the page may listen anywhere; without one, on every name of this machine."""
    for host in ("127.0.0.1", "localhost", "::1"):
        monkeypatch.setenv("WEB_HOST", host)
        assert load_config().web_host == host
    monkeypatch.setenv("WEB_HOST", "0.0.0.0")
    monkeypatch.setenv("WEB_TOKEN", "open")
    assert load_config().web_host == "0.0.0.0"


def test_names_with_commas_are_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chat models to choose from are listed as people list things, with spaces or a comma too many."""
    monkeypatch.setenv("LLM_MODELS", "large, vendor/small:8b ,")
    assert load_config().llm_models == ("large", "vendor/small:8b")


@pytest.mark.parametrize("wrong", ["Bot abc.def.ghi", "abc.def.ghi x", "abc.def\nghi", "äbc.def.ghi"])
def test_a_token_that_was_copied_wrongly_is_not_shown(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    """The sentence says what does not belong there, and keeps the token to itself."""
    (line,) = faults(monkeypatch, DISCORD_TOKEN=wrong)
    assert line.startswith("DISCORD_TOKEN must be the token alone: no `Bot ` before it")
    assert "bc.def" not in line


def test_no_secret_is_ever_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an error nor a printed configuration holds a key or a token."""
    for name in SECRETS:
        monkeypatch.setenv(name, "hunter2")
    config = load_config()
    assert config.openai_api_key
    assert config.openai_api_key.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(config) + str(config)
    assert "hunter2" not in "\n".join(faults(monkeypatch, WEB_PORT="x", LOG_LEVEL="loud"))


def test_an_images_api_needs_a_name_and_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenAI's own wants a key, one's own server only its address; workers beside it are a contradiction."""
    assert load_config().images_api_model is None
    (line,) = faults(monkeypatch, IMAGE_MODEL="openai:gpt-image-2")
    assert line.startswith("IMAGES_API_KEY must be set for OpenAI's images API")
    monkeypatch.setenv("IMAGES_API_KEY", "two words")
    (line,) = faults(monkeypatch)
    assert "without a space" in line and "two words" not in line
    monkeypatch.setenv("IMAGES_API_KEY", "")
    monkeypatch.setenv("IMAGES_BASE_URL", "http://127.0.0.1:8000/v1")
    assert load_config().images_api_model == "gpt-image-2"
    assert "RENDER_URLS must be empty" in faults(monkeypatch, RENDER_URLS="http://gpu:7801")[0]
    monkeypatch.setenv("RENDER_URLS", "")
    assert "IMAGE_MODEL must name a model" in faults(monkeypatch, IMAGE_MODEL="openai:")[0]


def test_a_worker_inherits_everything_but_the_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths and the device's own variables are passed on; the bot's key and tokens are not."""
    for name in (*SECRETS, "Openai_Api_Key"):
        monkeypatch.setenv(name, "hunter2")
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setenv("IMAGE_MODEL", "builtin")
    inherited = worker_environment()
    assert "hunter2" not in inherited.values()
    assert (inherited["PATH"], inherited["CUDA_VISIBLE_DEVICES"]) == ("/usr/bin", "1")
    assert inherited["IMAGE_MODEL"] == "builtin"


def test_a_worker_inherits_what_the_env_file_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is written there for workers reaches them, but for the secrets; the environment's own word counts more."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RENDER_BATCH", "2")
    Path(".env").write_text("STYLES=/looks\nHF_TOKEN=hub\nRENDER_BATCH=9\nRENDER_OFFLOAD\nDISCORD_TOKEN=hunter2\n")
    inherited = worker_environment()
    assert (inherited["STYLES_DIR"], inherited["HF_TOKEN"], inherited["RENDER_BATCH"]) == ("/looks", "hub", "2")
    assert "RENDER_OFFLOAD" not in inherited and "hunter2" not in inherited.values()
