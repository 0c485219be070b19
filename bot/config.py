"""Reads the environment into a frozen `Config`; one ConfigError lists all faults with their remedies."""

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bot.capabilities import IMAGES_API_PREFIX, RefineMode
from bot.environment import describe_old_variables, find_values_under_old_names, rename_old_variables
from bot.errors import ConfigError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
DATABASE = "minidalle.sqlite"  # in DATA_DIR


Names = Annotated[tuple[str, ...], NoDecode]  # separated by commas


class Config(BaseSettings):
    """The settings of an operator. The environment variable of a field has the name of the field in capitals."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore", env_file=".env")

    data_dir: Path = Field(Path("data"), description="Folder of the database and the pictures.")
    styles_dir: Path | None = Field(
        None, description="Folder of a team's own styles, with their LoRA files; see docs/image-models.md."
    )
    retention_days: Annotated[int, Field(ge=1, le=36_500)] | None = Field(
        None, description="Days after which a thread in which nothing was said is forgotten; empty keeps it for ever."
    )
    web_token: SecretStr | None = Field(None, description="What a browser or script must show to use the web page.")
    web_host: str = Field("127.0.0.1", description="Address of the web page; beyond loopback it needs WEB_TOKEN.")
    web_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        8642, description="Port of the web page; 0 takes a free one."
    )
    openai_base_url: str | None = Field(
        None, description="Address of an OpenAI-compatible chat server, ending in /v1.", pattern=r"^https?://"
    )
    openai_api_key: SecretStr | None = Field(None, description="Key for the chat server.")
    llm_model: str = Field("gpt-4.1-mini", description="Name of the chat model on that server.")
    llm_models: Names = Field(
        (), description="Further chat models of that server, with commas, that people may choose in /settings."
    )
    llm_protocol: Literal["auto", "tags", "tools"] = Field(
        "auto", description="How the chat model asks for pictures; `auto` finds out which way it follows better."
    )
    llm_vision: Literal["auto", "on", "off"] = Field(
        "auto", description="Whether the chat model is shown pictures; `auto` goes by its name."
    )
    llm_context: Annotated[int, Field(ge=1024)] | None = Field(
        None, description="Tokens that the chat model can take in; empty goes by its name."
    )
    improve_prompts: RefineMode = Field(
        RefineMode.AUTO, description="When a second call of the chat model improves the prompt."
    )
    persona: str = Field("", description="Who the bot is in its talk, in plain sentences to the chat model.")
    moderation_url: str | None = Field(
        None, description="Address of a moderation endpoint that is asked about each prompt.", pattern=r"^https?://"
    )
    moderation_key: SecretStr | None = Field(None, description="Key for that endpoint.")
    moderation_model: str = Field("omni-moderation-latest", description="Name of the model on that endpoint.")
    image_model: str = Field(
        "builtin",
        description="`builtin`, a folder, a hub id of a diffusers pipeline, or `openai:` and a model of an images API.",
    )
    images_base_url: str | None = Field(
        None,
        description="Address of an OpenAI-compatible images API, ending in /v1; empty is OpenAI's own.",
        pattern=r"^https?://",
    )
    images_api_key: SecretStr | None = Field(None, validate_default=True, description="Key for the images API.")
    images_max_concurrent: Annotated[int, Field(ge=1, le=64)] = Field(
        4, description="Images that the images API renders at the same time."
    )
    render_urls: Names = Field(
        (), description="Addresses of render workers that run already, with commas; empty starts workers."
    )
    render_token: SecretStr | None = Field(None, description="What the bot must show to those workers.")
    render_devices: Names = Field(
        ("auto",),
        description="`auto`, `cpu`, `cuda`, or `cuda:0,cuda:1`: a worker is started for each.",
        min_length=1,
    )
    render_steps: Annotated[int, Field(ge=1, le=150)] | None = Field(
        None, description="Denoising steps a picture; empty takes what the model does best."
    )
    ray_dashboard_url: str | None = Field(
        None,
        description="Dashboard of a Ray cluster whose number of replicas the bot adapts to the waiting work.",
        pattern=r"^https?://",
    )
    ray_deployment: str = Field("pictures/Replica", description="Application and deployment of the replicas there.")
    ray_replicas: str = Field(
        "1-4",
        description="The smallest and the largest number of replicas, such as 1-4.",
        pattern=r"^[1-9][0-9]{0,3}-[1-9][0-9]{0,3}$",
    )
    ray_token: SecretStr | None = Field(None, description="What the cluster itself asks for, with RAY_AUTH_MODE=token.")
    discord_token: SecretStr | None = Field(
        None, description="Token of the Discord bot; with it the bot is on Discord. See docs/discord.md."
    )
    discord_message_content: Literal["auto", "off"] = Field(
        "auto", description="`auto` reads what does not mention the bot where Discord allows it; `off` never asks to."
    )
    discord_guild: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Id of a server in which the commands are registered at once, for development."
    )
    discord_api_url: str = Field(
        "https://discord.com/api/v10", description="Address of Discord's HTTP API.", pattern=r"^https?://"
    )
    discord_gateway_url: str | None = Field(
        None, description="Address of Discord's gateway; empty takes Discord's own.", pattern=r"^wss?://"
    )
    discord_cdn_url: str = Field(
        "https://cdn.discordapp.com", description="Address of Discord's files.", pattern=r"^https?://"
    )
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.", pattern="^(DEBUG|INFO|WARNING|ERROR)$")

    slack_bot_token: SecretStr | None = Field(
        None, description="Token of the Slack app's bot (xoxb-…); with it the bot is on Slack. See docs/slack.md."
    )
    slack_app_token: SecretStr | None = Field(
        None, description="Token of the Slack app itself (xapp-…), for Socket Mode, which needs no public address."
    )
    slack_signing_secret: SecretStr | None = Field(
        None, validate_default=True, description="Instead of SLACK_APP_TOKEN: what Slack signs its HTTP requests with."
    )
    slack_port: Annotated[int, Field(ge=1, le=65535)] = Field(
        3000, description="Port on 127.0.0.1 for those requests, behind a proxy with a certificate."
    )
    slack_api_url: str = Field(
        "https://slack.com/api/", description="Address of Slack's Web API.", pattern=r"^https?://.*/$"
    )

    @field_validator("render_urls", "render_devices", "llm_models", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("render_urls")
    @classmethod
    def _check_worker_urls(cls, urls: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if wrong := [url for url in urls if not url.startswith(("http://", "https://"))]:
            raise ValueError(f"must be addresses that begin with http:// or https://, {wrong[0]!r} does not")
        if urls and str(info.data.get("image_model")).startswith(IMAGES_API_PREFIX):
            raise ValueError(
                f"must be empty while IMAGE_MODEL begins with `{IMAGES_API_PREFIX}`, which needs no worker"
            )
        return urls

    @field_validator("image_model")
    @classmethod
    def _check_image_model(cls, model: str) -> str:
        if model.startswith(IMAGES_API_PREFIX) and not model.removeprefix(IMAGES_API_PREFIX).strip():
            raise ValueError(f"must name a model after `{IMAGES_API_PREFIX}`")
        return model

    @field_validator("images_api_key")
    @classmethod
    def _check_images_api_key(cls, key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if (
            str(info.data.get("image_model")).startswith(IMAGES_API_PREFIX)
            and not key
            and info.data.get("images_base_url", "") is None
        ):
            raise ValueError("must be set for OpenAI's images API; a server of your own is named by IMAGES_BASE_URL")
        if key and not re.fullmatch(r"[!-~]+", key.get_secret_value()):
            raise ValueError("must be the key alone, without a space in it")
        return key

    @field_validator("web_host")
    @classmethod
    def _check_web_host(cls, host: str, info: ValidationInfo) -> str:
        if host not in LOOPBACK and not info.data.get("web_token"):
            raise ValueError("must be 127.0.0.1 unless WEB_TOKEN is set")
        return host

    @field_validator("discord_token")
    @classmethod
    def _check_discord_token(cls, token: SecretStr | None) -> SecretStr | None:
        if token and not re.fullmatch(r"[!-~]+", token.get_secret_value()):
            raise ValueError("must be the token alone: no `Bot ` before it, and no space in it")
        return token

    @field_validator("slack_bot_token", "slack_app_token")
    @classmethod
    def _check_slack_token(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        start = "xoxb-" if info.field_name == "slack_bot_token" else "xapp-"
        if token and not re.fullmatch(rf"{start}[!-~]+", token.get_secret_value()):
            raise ValueError(f"must be a token that begins with {start}")
        return token

    @field_validator("slack_signing_secret")
    @classmethod
    def _check_slack_secret(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        wrong = "slack_app_token" not in info.data  # this fault is reported already
        if info.data.get("slack_bot_token") and not secret and not wrong and not info.data["slack_app_token"]:
            raise ValueError("must be set with SLACK_BOT_TOKEN, unless SLACK_APP_TOKEN is")
        return secret

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.data_dir / DATABASE

    @property
    def pictures_dir(self) -> Path:
        """The folder of the image files."""
        return self.data_dir / "pictures"

    @property
    def has_chat_server(self) -> bool:
        """Whether a chat server is configured; otherwise the built-in chat model answers."""
        return bool(self.openai_base_url or self.openai_api_key)

    @property
    def images_api_model(self) -> str | None:
        """Name of the image model on the images API; None if workers render."""
        return (
            self.image_model.removeprefix(IMAGES_API_PREFIX) if self.image_model.startswith(IMAGES_API_PREFIX) else None
        )


def load_config() -> Config:
    """Read the configuration from the environment and `.env`. Raises ConfigError that lists every fault."""
    try:
        return Config(**find_values_under_old_names(read_environment(), Config.model_fields))
    except ValidationError as error:
        raise ConfigError("\n".join(map(_format_fault, error.errors()))) from None


def _format_fault(fault: ErrorDetails) -> str:
    field = str(fault["loc"][0])
    text = _FAULT_TEXTS.get(fault["type"], fault["msg"].removeprefix("Value error, ")).format(**fault.get("ctx", {}))
    secret = any(word in field for word in ("token", "key", "secret"))
    shown = "" if secret else f", not {fault['input']!r}"
    return f"{field.upper()} {text}{shown}. {Config.model_fields[field].description}"


_FAULT_TEXTS = {
    "int_parsing": "must be a whole number",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_pattern_mismatch": "cannot be understood",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
}


def worker_environment() -> dict[str, str]:
    """Return the environment of a render worker: the environment and `.env` without the secrets of the bot."""
    own = {name.upper() for name, field in Config.model_fields.items() if "SecretStr" in str(field.annotation)}
    environment = rename_old_variables(read_environment())
    return {name: value for name, value in environment.items() if name.upper() not in own}


def old_variable_warnings() -> list[str]:
    """Return a sentence about each variable that is set under an old name."""
    return describe_old_variables(read_environment())


def read_environment() -> dict[str, str]:
    """Return the variables of the environment and of `.env`; the environment wins."""
    values = {**dotenv_values(str(Config.model_config["env_file"])), **os.environ}
    return {name: value for name, value in values.items() if value is not None}
