"""A loaded pipeline, and the sibling pipelines that use the same weights."""

import inspect
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from diffusers.pipelines import auto_pipeline

from render.models.edit_plan import Means, Way
from render.models.introspection import Takes, takes

_AUTO: tuple[dict[str, type], ...] = (
    auto_pipeline.AUTO_TEXT2IMAGE_PIPELINES_MAPPING,
    auto_pipeline.AUTO_IMAGE2IMAGE_PIPELINES_MAPPING,
    auto_pipeline.AUTO_INPAINT_PIPELINES_MAPPING,
)
_END = re.compile(r"(Img2Img|Inpaint)?Pipeline$")
DRAWS = frozenset(each.__name__ for each in _AUTO[0].values())


class Family:
    """The pipelines that share one set of weights, which is in memory once.

    A pipeline object and a scheduler keep the state of a call: all calls must come from one thread.
    """

    def __init__(self, pipe: Any, *, described: bool = False, reference: bool = False) -> None:
        """`needs_full_description`: a prompt for an edit must describe the whole result.

        `has_ip_adapter`: an IP-Adapter is loaded. Raises ValueError.
        """
        self.own = pipe
        self._classes: dict[Way, type] = {}
        self._pipes: dict[type, Any] = {type(pipe): pipe}
        for each in (type(pipe), *siblings(type(pipe))):
            for way in _ways(takes(each, DRAWS)):
                self._classes.setdefault(way, each)
        self._described = described
        self._reference = reference

    @property
    def means(self) -> Means:
        """The edit methods that the pipelines support."""
        has = self._classes
        return Means(
            words=Way.WORDS in has, starts=Way.START in has, masks=Way.MASK in has, looks=Way.LOOK in has,
            reference=self._reference, described=self._described,
        )  # fmt: skip

    def takes(self) -> tuple[Takes, ...]:
        """The signatures of the pipeline classes that are used."""
        return tuple(takes(each, DRAWS) for each in dict.fromkeys(self._classes.values()))

    def pipe(self, way: Way) -> tuple[Any, Takes]:
        """The pipeline for this edit method, with its own scheduler, and its signature."""
        if way is Way.CANVAS:
            way = next(each for each in (Way.LOOK, Way.START, Way.MASK) if each in self._classes)
        wanted = self._classes[Way.WORDS if way is Way.REFERENCE else way]
        if wanted not in self._pipes:
            self._pipes[wanted] = shared(self.own, wanted)
        return self._pipes[wanted], takes(wanted, DRAWS)

    def drop(self, way: Way) -> bool:
        """Drop the pipeline class of a method that failed; False if that is the loaded pipeline, or already dropped."""
        broken = self._classes.get(way)
        if broken in (None, type(self.own)):
            return False
        self._classes = {each: pipeline for each, pipeline in self._classes.items() if pipeline is not broken}
        return True

    def forget(self) -> None:
        """Create the sibling pipelines again on their next use, because the components moved to another device."""
        self._pipes = {type(self.own): self.own}


def siblings(pipeline: type) -> list[type]:
    """Other pipeline classes that can use the same weights."""
    found = []
    for keys in (mapping.items() for mapping in _AUTO):
        for key in (key for key, each in keys if each.__name__ == pipeline.__name__):
            found += [mapping[key] for mapping in _AUTO if key in mapping]
    found += _neighbours(pipeline)
    return [each for each in dict.fromkeys(found) if each is not pipeline]


def _neighbours(pipeline: type) -> Iterator[type]:
    """Classes in the same package whose name differs only in its suffix, which diffusers' mappings leave out."""
    package = sys.modules[pipeline.__module__.rpartition(".")[0] or pipeline.__module__]
    if not package.__name__.startswith("diffusers.pipelines."):
        return
    for name in sorted(dir(package)):
        if _END.sub("", name) == _END.sub("", pipeline.__name__) and name != pipeline.__name__:
            with suppress(ValueError, ImportError):
                takes(other := getattr(package, name))
                yield other


def _ways(taken: Takes) -> list[Way]:
    have = {Way.WORDS: taken.words, Way.START: taken.strength, Way.MASK: taken.mask, Way.LOOK: taken.picture}
    return [way for way, has in have.items() if has]


def shared(pipe: Any, wanted: type) -> Any:
    """Create a pipeline with the same components. (`from_pipe` of most classes would cast them to float32.)"""
    known = set(inspect.signature(wanted.__init__).parameters)  # type: ignore[misc]
    given = {name: value for name, value in pipe.config.items() if name in known}
    given |= {name: part for name, part in pipe.components.items() if name in known}
    other = wanted(**given)
    other.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config)
    other.set_progress_bar_config(disable=True)
    return other
