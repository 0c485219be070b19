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

CACHE_BYTES = 256 * 2**20  # bytes of text embeddings that are cached
TEXT_ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3", "text_encoder_4")
# Other networks refuse the first-block cache when it is enabled, or fail in the middle of an image.
STEP_CACHE_CLASSES = frozenset({"FluxTransformer2DModel", "QwenImageTransformer2DModel"})


def apply_speedups(pipe: Any, device: str, options: Options) -> list[str]:
    """Apply the speedups once after loading; returns lines for the log that say what was done or failed."""
    done = [f"texts of {name} are kept" for name in cache_text_embeddings(pipe, TextEmbeddingCache())]
    network = getattr(pipe, "unet", None) or getattr(pipe, "transformer", None)
    if device.startswith("cuda"):
        done += _speed_up_cuda(pipe, options)
    if options.attention and network is not None:
        done.append(
            _try_speedup(f"attention {options.attention}", lambda: network.set_attention_backend(options.attention))
        )
    if options.compile and network is not None:
        done.append(_try_speedup("compiled blocks", lambda: network.compile_repeated_blocks(dynamic=True)))
    if options.step_cache is not None:
        done.append(
            f"steps that change less than {options.step_cache} are skipped"
            if _supports_step_cache(pipe)
            else _NO_STEP_CACHE
        )
    return done


def undo_compile(pipe: Any) -> None:
    """Undo the compiling, for a machine that cannot compile, such as one without a C++ compiler."""
    network = getattr(pipe, "unet", None) or getattr(pipe, "transformer", None)
    for part in network.modules() if network is not None else ():
        part._compiled_call_impl = None


_NO_STEP_CACHE = "no step cache: it is not known to work with this model"


def _speed_up_cuda(pipe: Any, options: Options) -> list[str]:
    torch.set_float32_matmul_precision("high")
    done = ["TF32"]
    if options.offload == "layers" or options.quantise:  # offloaded or quantized weights are not changed
        return done
    for name in ("unet", "vae"):
        part = getattr(pipe, name, None)
        if isinstance(part, torch.nn.Module) and any(weight.ndim == 4 for weight in part.parameters()):
            done.append(_try_speedup(f"channels last in {name}", partial(part.to, memory_format=torch.channels_last)))
    unet: Any = getattr(pipe, "unet", None)
    # A LoRA or an IP-Adapter changes the single projections, which fused ones would ignore. Large transformers would
    # need gigabytes for fused projections.
    if hasattr(unet, "fuse_qkv_projections") and not (options.styles or options.ip_adapter):
        done.append(_try_speedup("fused projections", unet.fuse_qkv_projections))
    return done


def _try_speedup(name: str, apply: Callable[[], Any]) -> str:
    """Apply a speedup, or skip it if the model raises; returns a line for the log."""
    try:
        apply()
    except Exception as error:
        return f"no {name} ({type(error).__name__}: {error})"
    return name


def _supports_step_cache(pipe: Any) -> bool:
    """Whether the network supports the step cache, and the pipeline sets a `cache_context` for each pass of a step."""
    network = getattr(pipe, "transformer", None)
    return type(network).__name__ in STEP_CACHE_CLASSES and "cache_context" in inspect.getsource(type(pipe).__call__)


@contextmanager
def step_cache(pipe: Any, threshold: float | None) -> Iterator[None]:
    """Enable the first-block cache for one call. It is cleared on every exit, so that no other image is affected."""
    if threshold is None or not _supports_step_cache(pipe):
        yield
        return
    network = pipe.transformer
    network.enable_cache(FirstBlockCacheConfig(threshold=threshold))
    try:
        yield
    finally:
        network.disable_cache()


class TextEmbeddingCache:
    """LRU cache of text embeddings, by a hash of the inputs of the text encoder; `size` is in bytes."""

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[bytes, tuple[Any, int]] = OrderedDict()
        self.size = 0

    def get(self, key: bytes) -> Any:
        """A copy of the cached output, because the caller may change it; None if it is not cached."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return _copy(self._entries[key][0])

    def put(self, key: bytes, output: Any) -> None:
        """Cache a copy of an output; does nothing if the output is larger than the whole cache."""
        size = sum(each.numel() * each.element_size() for each in _tensors(output))
        if size > self._max_bytes or key in self._entries:
            return
        self._entries[key] = (_copy(output), size)
        self.size += size
        while self.size > self._max_bytes:
            _, (_, freed) = self._entries.popitem(last=False)
            self.size -= freed


def cache_text_embeddings(pipe: Any, cache: TextEmbeddingCache) -> list[str]:
    """Let the text encoders of the pipeline use the cache; returns the names of these encoders."""
    found = [name for name in TEXT_ENCODERS if isinstance(getattr(pipe, name, None), torch.nn.Module)]
    for name in found:
        encoder = getattr(pipe, name)
        # With offloading, the hook of accelerate keeps the original method under this name. A wrapper below the hook
        # stays when the hook is removed.
        place = "_old_forward" if hasattr(encoder, "_old_forward") else "forward"
        setattr(encoder, place, _cached_forward(encoder, name, getattr(encoder, place), cache))
    return found


def _cached_forward(
    encoder: Any, name: str, forward: Callable[..., Any], cache: TextEmbeddingCache
) -> Callable[..., Any]:
    @wraps(forward)
    def remembered(*args: Any, **kwargs: Any) -> Any:
        key = None if _is_changing(encoder) else _content_key((name, args, sorted(kwargs.items())))
        if key is None:
            return forward(*args, **kwargs)
        known = cache.get(key)
        if known is None:
            known = forward(*args, **kwargs)
            if _is_plain(known):
                cache.put(key, known)
        return known

    return remembered


def _is_changing(encoder: Any) -> bool:
    """Whether the same text may get another embedding next time: in training, or with a LoRA in the encoder."""
    return encoder.training or torch.is_grad_enabled() or any(hasattr(part, "lora_A") for part in encoder.modules())


def _content_key(value: Any) -> bytes | None:
    """A hash of the content of a value; None if it holds a type that cannot be hashed."""
    digest = hashlib.blake2b(digest_size=20)
    return digest.digest() if _add_to_digest(value, digest) else None


def _add_to_digest(value: Any, digest: Any) -> bool:
    match value:
        case torch.Tensor():
            digest.update(f"<{value.dtype} {tuple(value.shape)} {value.device}>".encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
            return True
        case tuple() | list():
            digest.update(f"<{len(value)}>".encode())
            return all(_add_to_digest(each, digest) for each in value)
        case None | bool() | int() | float() | str() | torch.dtype() | torch.device():
            digest.update(f"<{value!r}>".encode())
            return True
    return False


def _output_items(output: Any) -> dict[str, Any]:
    """The items of an encoder's output without its key-value cache, which image models do not use."""
    return {name: value for name, value in output.items() if name != "past_key_values"}


def _is_plain(output: Any) -> bool:
    if isinstance(output, dict):
        return all(_is_plain(each) for each in _output_items(output).values())
    if isinstance(output, tuple | list):
        return all(_is_plain(each) for each in output)
    return output is None or isinstance(output, torch.Tensor)


def _tensors(output: Any) -> Iterator[torch.Tensor]:
    if isinstance(output, torch.Tensor):
        yield output
    elif isinstance(output, dict):
        for each in _output_items(output).values():
            yield from _tensors(each)
    elif isinstance(output, tuple | list):
        for each in output:
            yield from _tensors(each)


def _copy(output: Any) -> Any:
    if isinstance(output, torch.Tensor):
        return output.detach().clone()
    if isinstance(output, dict):
        return type(output)(**{name: _copy(each) for name, each in _output_items(output).items()})
    return type(output)(_copy(each) for each in output) if isinstance(output, tuple | list) else output
