"""Loads LoRA files and enables one for a call."""

from pathlib import Path
from typing import Any

from bot.notices import notice
from render.image_model import ModelRefusal

LORA_SUFFIX = ".safetensors"


class LoraLoader:
    """The LoRA files of a folder, and the one that is active. Sibling pipelines share the weights, so also the LoRA."""

    def __init__(self, pipe: Any, folder: str) -> None:
        """An empty `folder` means that there are no LoRA files."""
        self._pipe = pipe
        self._folder = folder
        self._adapter_names: dict[str, str] = {}
        self._active: tuple[str, float] = ("", 1.0)

    def apply(self, file: str, scale: float) -> None:
        """Activate a LoRA file for the next call; an empty `file` disables it. Raises ValueError with a sentence."""
        wanted = (file, scale) if file else ("", 1.0)
        if wanted == self._active:
            return
        if not file:
            self._pipe.disable_lora()
        else:
            if file not in self._adapter_names:
                self._load(file)
            self._pipe.enable_lora()
            self._pipe.set_adapters([self._adapter_names[file]], [scale])
        self._active = wanted

    def _load(self, file: str) -> None:
        folder = Path(self._folder or "-").resolve()
        path = (folder / file).resolve()
        if not self._folder or path.parent != folder or path.suffix != LORA_SUFFIX or not path.is_file():
            raise ModelRefusal(notice("no-style-file", file=file))
        if not hasattr(self._pipe, "load_lora_weights"):
            raise ModelRefusal(notice("no-lora"))
        name = f"style_{len(self._adapter_names)}"
        try:
            self._pipe.load_lora_weights(str(folder), weight_name=path.name, adapter_name=name)
        except Exception as error:  # the library raises many types
            raise ModelRefusal(notice("wrong-style-file", file=file)) from error
        self._adapter_names[file] = name
