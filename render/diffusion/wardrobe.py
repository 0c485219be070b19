"""LoRA files: worn by the model for one call and taken off again, without loading the model anew."""

from pathlib import Path
from typing import Any

SUFFIX = ".safetensors"


class Wardrobe:
    """The folder of styles, and which of them the model wears now. All of a model's pipelines wear the same."""

    def __init__(self, pipe: Any, folder: str) -> None:
        """`folder` may be empty: then there are none."""
        self._pipe = pipe
        self._folder = folder
        self._names: dict[str, str] = {}
        self._worn: tuple[str, float] = ("", 1.0)

    def dress(self, file: str, scale: float) -> None:
        """Have the next call drawn with this file, or without any. Raises ValueError with a sentence."""
        wanted = (file, scale) if file else ("", 1.0)
        if wanted == self._worn:
            return
        if not file:
            self._pipe.disable_lora()
        else:
            if file not in self._names:
                self._load(file)
            self._pipe.enable_lora()
            self._pipe.set_adapters([self._names[file]], [scale])
        self._worn = wanted

    def _load(self, file: str) -> None:
        folder = Path(self._folder or "-").resolve()
        path = (folder / file).resolve()
        if not self._folder or path.parent != folder or path.suffix != SUFFIX or not path.is_file():
            raise ValueError(f"the worker has no style file {file!r} in its folder of styles.")
        if not hasattr(self._pipe, "load_lora_weights"):
            raise ValueError("it cannot wear styles (LoRA).")
        name = f"style_{len(self._names)}"
        try:
            self._pipe.load_lora_weights(str(folder), weight_name=path.name, adapter_name=name)
        except Exception as error:  # of whatever kind the library finds fitting
            raise ValueError(f"the style file {file!r} is not for this model.") from error
        self._names[file] = name
