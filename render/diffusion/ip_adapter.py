"""Loads the IP-Adapter and sets its image for a call."""

from pathlib import Path
from typing import Any

from PIL import Image

from bot.notices import notice
from render.image_model import ModelLoadError


class IpAdapter:
    """The IP-Adapter of a pipeline. It stays loaded; a call without an image prompt sets its scale to 0."""

    SCALE = 0.6  # weight of the image prompt beside the text prompt, 0 to 1

    def __init__(self, pipe: Any, name: str) -> None:
        """An empty `name` means no IP-Adapter. Raises ModelLoadError."""
        self._pipe = pipe
        self.is_loaded = bool(name)
        if name:
            self._load(name)

    def call_arguments(self, picture: Image.Image | None) -> dict[str, Any]:
        """The extra arguments of a pipeline call, with or without an image prompt; sets the scale."""
        if not self.is_loaded:
            return {}
        self._pipe.set_ip_adapter_scale(self.SCALE if picture else 0.0)
        return {"ip_adapter_image": picture or Image.new("RGB", (64, 64), "gray")}

    def _load(self, name: str) -> None:
        path = Path(name)
        owner, _, rest = name.partition("/")
        repo, _, file = rest.partition("/")
        folder, file = (str(path.parent), path.name) if path.is_file() else (f"{owner}/{repo}", file)
        subfolder, _, weights = file.rpartition("/")
        has_encoder = getattr(self._pipe, "image_encoder", None) is not None
        try:
            self._pipe.load_ip_adapter(
                folder, subfolder=subfolder, weight_name=weights,
                image_encoder_folder=None if has_encoder else "image_encoder",
            )  # fmt: skip
        except Exception as error:  # the library raises many types
            raise ModelLoadError(notice("model-no-ip-adapter", name=name)) from error
