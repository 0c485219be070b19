"""The settings of a render worker, read from its environment, and the environment of its device process."""

import logging
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from bot.environment import describe_old_variables, find_values_under_old_names
from bot.errors import ConfigError
from render.image_model import Options
from render.worker.device import DEVICE_ENVIRONMENT, HANG_TIMEOUT

PositiveInt = Annotated[int, Field(ge=1)]


class WorkerSettings(BaseSettings):
    """The environment variable of a field has the name of the field in capitals; an empty one counts as not set."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore")

    image_model: str = Field("builtin", description="`builtin`, a folder or a hub id; --model overrides it")
    render_token: SecretStr | None = Field(None, description="bearer token that every request must carry")
    render_batch: PositiveInt | None = Field(
        None, description="largest number of images in one batch; the default depends on the device and the model"
    )
    render_timeout: PositiveInt = Field(
        int(HANG_TIMEOUT),
        description="seconds without an event from the device during a batch, after which its process is killed and"
        " restarted; three times as long for the first batch after a start",
    )
    render_quantize: Literal["", "8bit", "4bit"] = Field(
        "", description="`8bit` or `4bit`: less memory, slightly different images; needs bitsandbytes and a GPU"
    )
    render_offload: Literal["", "parts", "layers"] = Field(
        "", description="`parts` or `layers` of the model take turns on the device: less memory; slower or much slower"
    )
    render_compile: Literal["0", "1"] = Field(
        "0", description="1: compile the network after loading, which makes every image after that faster"
    )
    render_step_cache: float | None = Field(
        None, description="skip work in steps that change less than this difference (such as 0.1): different images"
    )
    render_attention: str = Field("", description="name of an attention backend of diffusers")
    render_allow_pickles: str = Field(
        "", description="the model whose pickled weights may be loaded, although pickles can run code"
    )
    render_ip_adapter: str = Field(
        "",
        description="an IP-Adapter for the model, OWNER/NAME/FOLDER/FILE or a path: large changes keep the subject",
    )
    styles_dir: str = Field("", description="folder of style files (LoRA)")
    render_cache: Path | None = Field(
        None, description="folder for the images of the last ten minutes; the default is under the temporary folder"
    )
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")

    @field_validator("log_level")
    @classmethod
    def _check_log_level(cls, level: str) -> str:
        if level not in logging.getLevelNamesMapping():
            raise ValueError("not a level of the logging module")
        return level

    @property
    def token(self) -> str | None:
        """The bearer token in plain text; None if requests need none."""
        return self.render_token.get_secret_value() if self.render_token else None

    @property
    def model_options(self) -> Options:
        """How the model is loaded and used."""
        return Options(
            quantise=self.render_quantize,
            offload=self.render_offload,
            allow_pickles=self.render_allow_pickles,
            ip_adapter=self.render_ip_adapter,
            styles=self.styles_dir,
            compile=self.render_compile == "1",
            step_cache=self.render_step_cache,
            attention=self.render_attention,
        )


def load_worker_settings() -> WorkerSettings:
    """Read the settings from the environment. Raises ConfigError that lists every wrong value."""
    try:
        return WorkerSettings(**find_values_under_old_names(os.environ, WorkerSettings.model_fields))
    except ValidationError as error:
        raise ConfigError("; ".join(map(_format_fault, error.errors()))) from None


def old_worker_variable_warnings() -> list[str]:
    """Return a sentence about each variable that is set under an old name."""
    return describe_old_variables(os.environ)


def set_device_environment() -> None:
    """Set the variables of the device process, which inherits them, unless the operator has set them."""
    for name, value in DEVICE_ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def _format_fault(fault: ErrorDetails) -> str:
    name = str(fault["loc"][0]).upper()
    return f"{name} {_FAULT_TEXTS.get(name, fault['msg'])}, not {fault['input']!r}"


_FAULT_TEXTS = {
    "RENDER_BATCH": "must be a whole number from 1",
    "RENDER_TIMEOUT": "must be a whole number from 1",
    "RENDER_QUANTIZE": "must be 8bit or 4bit",
    "RENDER_OFFLOAD": "must be parts or layers",
    "RENDER_COMPILE": "must be 0 or 1",
    "RENDER_STEP_CACHE": "must be a number such as 0.1",
    "LOG_LEVEL": "must be DEBUG, INFO, WARNING or ERROR",
}
