"""A loaded pipeline, and the sibling pipelines that use the same weights."""

import inspect
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from diffusers.pipelines import auto_pipeline

from render.models.edit_plan import EditMethod, SupportedMethods
from render.models.introspection import PipelineSignature, read_signature

_AUTO_MAPPINGS: tuple[dict[str, type], ...] = (
    auto_pipeline.AUTO_TEXT2IMAGE_PIPELINES_MAPPING,
    auto_pipeline.AUTO_IMAGE2IMAGE_PIPELINES_MAPPING,
    auto_pipeline.AUTO_INPAINT_PIPELINES_MAPPING,
)
_CLASS_SUFFIX = re.compile(r"(Img2Img|Inpaint)?Pipeline$")
TEXT_TO_IMAGE_CLASSES = frozenset(each.__name__ for each in _AUTO_MAPPINGS[0].values())


class SiblingPipelines:
    """The pipelines that share one set of weights, which is in memory once.

    A pipeline object and a scheduler keep the state of a call: all calls must come from one thread.
    """

    def __init__(self, pipe: Any, *, needs_full_description: bool = False, has_ip_adapter: bool = False) -> None:
        """`needs_full_description`: a prompt for an edit must describe the whole result.

        `has_ip_adapter`: an IP-Adapter is loaded. Raises ValueError.
        """
        self.base_pipe = pipe
        self._classes: dict[EditMethod, type] = {}
        self._pipes: dict[type, Any] = {type(pipe): pipe}
        for each in (type(pipe), *sibling_classes(type(pipe))):
            for way in _supported_methods(read_signature(each, TEXT_TO_IMAGE_CLASSES)):
                self._classes.setdefault(way, each)
        self._needs_full_description = needs_full_description
        self._has_ip_adapter = has_ip_adapter

    @property
    def methods(self) -> SupportedMethods:
        """The edit methods that the pipelines support."""
        has = self._classes
        return SupportedMethods(
            text_to_image=EditMethod.TEXT_TO_IMAGE in has,
            image_to_image=EditMethod.IMAGE_TO_IMAGE in has,
            inpaint=EditMethod.INPAINT in has,
            instruction=EditMethod.INSTRUCTION in has,
            image_prompt=self._has_ip_adapter,
            needs_full_description=self._needs_full_description,
        )

    def signatures(self) -> tuple[PipelineSignature, ...]:
        """The signatures of the pipeline classes that are used."""
        return tuple(read_signature(each, TEXT_TO_IMAGE_CLASSES) for each in dict.fromkeys(self._classes.values()))

    def pipeline_for(self, method: EditMethod) -> tuple[Any, PipelineSignature]:
        """The pipeline for this edit method, with its own scheduler, and its signature."""
        if method is EditMethod.BLANK_CANVAS:
            method = next(
                each
                for each in (EditMethod.INSTRUCTION, EditMethod.IMAGE_TO_IMAGE, EditMethod.INPAINT)
                if each in self._classes
            )
        wanted = self._classes[EditMethod.TEXT_TO_IMAGE if method is EditMethod.IMAGE_PROMPT else method]
        if wanted not in self._pipes:
            self._pipes[wanted] = create_sibling(self.base_pipe, wanted)
        return self._pipes[wanted], read_signature(wanted, TEXT_TO_IMAGE_CLASSES)

    def drop_method(self, method: EditMethod) -> bool:
        """Drop the pipeline class of a method that failed; False if that is the loaded pipeline, or already dropped."""
        broken = self._classes.get(method)
        if broken in (None, type(self.base_pipe)):
            return False
        self._classes = {each: pipeline for each, pipeline in self._classes.items() if pipeline is not broken}
        return True

    def discard_siblings(self) -> None:
        """Create the sibling pipelines again on their next use, because the components moved to another device."""
        self._pipes = {type(self.base_pipe): self.base_pipe}


def sibling_classes(pipeline: type) -> list[type]:
    """Other pipeline classes that can use the same weights."""
    found = []
    for keys in (mapping.items() for mapping in _AUTO_MAPPINGS):
        for key in (key for key, each in keys if each.__name__ == pipeline.__name__):
            found += [mapping[key] for mapping in _AUTO_MAPPINGS if key in mapping]
    found += _package_siblings(pipeline)
    return [each for each in dict.fromkeys(found) if each is not pipeline]


def _package_siblings(pipeline: type) -> Iterator[type]:
    """Classes in the same package whose name differs only in its suffix, which diffusers' mappings leave out."""
    package = sys.modules[pipeline.__module__.rpartition(".")[0] or pipeline.__module__]
    if not package.__name__.startswith("diffusers.pipelines."):
        return
    for name in sorted(dir(package)):
        if _CLASS_SUFFIX.sub("", name) == _CLASS_SUFFIX.sub("", pipeline.__name__) and name != pipeline.__name__:
            with suppress(ValueError, ImportError):
                read_signature(other := getattr(package, name))
                yield other


def _supported_methods(signature: PipelineSignature) -> list[EditMethod]:
    have = {
        EditMethod.TEXT_TO_IMAGE: signature.text_to_image,
        EditMethod.IMAGE_TO_IMAGE: signature.image_to_image,
        EditMethod.INPAINT: signature.inpaint,
        EditMethod.INSTRUCTION: signature.instruction,
    }
    return [way for way, has in have.items() if has]


def create_sibling(pipe: Any, pipeline_class: type) -> Any:
    """Create a pipeline with the same components. (`from_pipe` of most classes would cast them to float32.)"""
    known = set(inspect.signature(pipeline_class.__init__).parameters)  # type: ignore[misc]
    given = {name: value for name, value in pipe.config.items() if name in known}
    given |= {name: part for name, part in pipe.components.items() if name in known}
    other = pipeline_class(**given)
    other.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config)
    other.set_progress_bar_config(disable=True)
    return other
