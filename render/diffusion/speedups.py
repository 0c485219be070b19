"""Speedups of a loaded pipeline: some are always on, others have a cost and are options."""

import hashlib
import inspect
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any

import torch
from diffusers import FirstBlockCacheConfig

from render.image_model import Options

log = logging.getLogger(__name__)

ROOM = 256 * 2**20  # bytes of text embeddings that are cached
ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3", "text_encoder_4")
# Other networks refuse the first-block cache when it is enabled, or fail in the middle of an image.
STEPS_CACHED = frozenset({"FluxTransformer2DModel", "QwenImageTransformer2DModel"})


def quicken(pipe: Any, device: str, options: Options) -> list[str]:
    """Apply the speedups once after loading; returns lines for the log that say what was done or failed."""
    done = [f"texts of {name} are kept" for name in remember(pipe, Texts())]
    network = getattr(pipe, "unet", None) or getattr(pipe, "transformer", None)
    if device.startswith("cuda"):
        done += _on_cuda(pipe, options)
    if options.attention and network is not None:
        done.append(_tried(f"attention {options.attention}", lambda: network.set_attention_backend(options.attention)))
    if options.compile and network is not None:
        done.append(_tried("compiled blocks", lambda: network.compile_repeated_blocks(dynamic=True)))
    if options.step_cache is not None:
        done.append(f"steps that change less than {options.step_cache} are skipped" if _caches(pipe) else _NO_STEPS)
    return done


def as_written(pipe: Any) -> None:
    """Undo the compiling, for a machine that cannot compile, such as one without a C++ compiler."""
    network = getattr(pipe, "unet", None) or getattr(pipe, "transformer", None)
    for part in network.modules() if network is not None else ():
        part._compiled_call_impl = None


_NO_STEPS = "no step cache: it is not known to work with this model"


def _on_cuda(pipe: Any, options: Options) -> list[str]:
    torch.set_float32_matmul_precision("high")
    done = ["TF32"]
    if options.offload == "layers" or options.quantise:  # offloaded or quantized weights are not changed
        return done
    for name in ("unet", "vae"):
        part = getattr(pipe, name, None)
        if isinstance(part, torch.nn.Module) and any(weight.ndim == 4 for weight in part.parameters()):
            done.append(_tried(f"channels last in {name}", partial(part.to, memory_format=torch.channels_last)))
    unet: Any = getattr(pipe, "unet", None)
    # A LoRA or an IP-Adapter changes the single projections, which fused ones would ignore. Large transformers would
    # need gigabytes for fused projections.
    if hasattr(unet, "fuse_qkv_projections") and not (options.styles or options.ip_adapter):
        done.append(_tried("fused projections", unet.fuse_qkv_projections))
    return done


def _tried(what: str, way: Callable[[], Any]) -> str:
    """Apply a speedup, or skip it if the model raises; returns a line for the log."""
    try:
        way()
    except Exception as error:
        return f"no {what} ({type(error).__name__}: {error})"
    return what


def _caches(pipe: Any) -> bool:
    """Whether the network supports the step cache, and the pipeline sets a `cache_context` for each pass of a step."""
    network = getattr(pipe, "transformer", None)
    return type(network).__name__ in STEPS_CACHED and "cache_context" in inspect.getsource(type(pipe).__call__)


@contextmanager
def fewer_passes(pipe: Any, threshold: float | None) -> Iterator[None]:
    """Enable the first-block cache for one call. It is cleared on every exit, so that no other image is affected."""
    if threshold is None or not _caches(pipe):
        yield
        return
    network = pipe.transformer
    network.enable_cache(FirstBlockCacheConfig(threshold=threshold))
    try:
        yield
    finally:
        network.disable_cache()


class Texts:
    """LRU cache of text embeddings, by a hash of the inputs of the text encoder; `size` is in bytes."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._kept: OrderedDict[bytes, tuple[Any, int]] = OrderedDict()
        self.size = 0

    def get(self, key: bytes) -> Any:
        """A copy of the cached output, because the caller may change it; None if it is not cached."""
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return _copy(self._kept[key][0])

    def put(self, key: bytes, made: Any) -> None:
        """Cache a copy of an output; does nothing if the output is larger than the whole cache."""
        size = sum(each.numel() * each.element_size() for each in _tensors(made))
        if size > self._room or key in self._kept:
            return
        self._kept[key] = (_copy(made), size)
        self.size += size
        while self.size > self._room:
            _, (_, freed) = self._kept.popitem(last=False)
            self.size -= freed


def remember(pipe: Any, texts: Texts) -> list[str]:
    """Let the text encoders of the pipeline use the cache; returns the names of these encoders."""
    found = [name for name in ENCODERS if isinstance(getattr(pipe, name, None), torch.nn.Module)]
    for name in found:
        encoder = getattr(pipe, name)
        # With offloading, the hook of accelerate keeps the original method under this name. A wrapper below the hook
        # stays when the hook is removed.
        place = "_old_forward" if hasattr(encoder, "_old_forward") else "forward"
        setattr(encoder, place, _remembering(encoder, name, getattr(encoder, place), texts))
    return found


def _remembering(encoder: Any, name: str, forward: Callable[..., Any], texts: Texts) -> Callable[..., Any]:
    @wraps(forward)
    def remembered(*args: Any, **kwargs: Any) -> Any:
        key = None if _changing(encoder) else _key((name, args, sorted(kwargs.items())))
        if key is None:
            return forward(*args, **kwargs)
        known = texts.get(key)
        if known is None:
            known = forward(*args, **kwargs)
            if _plain(known):
                texts.put(key, known)
        return known

    return remembered


def _changing(encoder: Any) -> bool:
    """Whether the same text may get another embedding next time: in training, or with a LoRA in the encoder."""
    return encoder.training or torch.is_grad_enabled() or any(hasattr(part, "lora_A") for part in encoder.modules())


def _key(value: Any) -> bytes | None:
    """A hash of the content of a value; None if it holds a type that cannot be hashed."""
    digest = hashlib.blake2b(digest_size=20)
    return digest.digest() if _told(value, digest) else None


def _told(value: Any, digest: Any) -> bool:
    match value:
        case torch.Tensor():
            digest.update(f"<{value.dtype} {tuple(value.shape)} {value.device}>".encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
            return True
        case tuple() | list():
            digest.update(f"<{len(value)}>".encode())
            return all(_told(each, digest) for each in value)
        case None | bool() | int() | float() | str() | torch.dtype() | torch.device():
            digest.update(f"<{value!r}>".encode())
            return True
    return False


def _items(made: Any) -> dict[str, Any]:
    """The items of an encoder's output without its key-value cache, which image models do not use."""
    return {name: value for name, value in made.items() if name != "past_key_values"}


def _plain(made: Any) -> bool:
    if isinstance(made, dict):
        return all(_plain(each) for each in _items(made).values())
    if isinstance(made, tuple | list):
        return all(_plain(each) for each in made)
    return made is None or isinstance(made, torch.Tensor)


def _tensors(made: Any) -> Iterator[torch.Tensor]:
    if isinstance(made, torch.Tensor):
        yield made
    elif isinstance(made, dict):
        for each in _items(made).values():
            yield from _tensors(each)
    elif isinstance(made, tuple | list):
        for each in made:
            yield from _tensors(each)


def _copy(made: Any) -> Any:
    if isinstance(made, torch.Tensor):
        return made.detach().clone()
    if isinstance(made, dict):
        return type(made)(**{name: _copy(each) for name, each in _items(made).items()})
    return type(made)(_copy(each) for each in made) if isinstance(made, tuple | list) else made
