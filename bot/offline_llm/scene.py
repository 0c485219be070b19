"""A picture as the picture model can draw it: values, how they are told, what can be seen. Pure."""

from dataclasses import dataclass, replace

from bot.offline_llm.vocabulary import BACKGROUNDS, CLASHES, COLOURS, DEFAULTS, MOST, PLURALS, SCENES


@dataclass(frozen=True, slots=True)
class ThingGroup:
    """One to four things of one kind and colour."""

    kind: str
    colour: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Description:
    """A picture as the picture model can draw it. Two groups stand side by side, or the first above the second."""

    groups: tuple[ThingGroup, ...]
    background: str = "white"
    size: str = "medium"
    place: str = "center"
    above: bool = False
    style: str = "flat"


def some(count: int, kind: str) -> str:
    """A kind's name in the singular or plural."""
    return kind if count == 1 else PLURALS.get(kind, kind + "s")


def subject(description: Description) -> str:
    """What is in the picture, without background and style."""

    def noun(group: ThingGroup) -> str:
        words = [group.colour, some(group.count, group.kind)]
        if group.count > 1:
            return " ".join([("two", "three", "four")[group.count - 2], *words])
        if len(description.groups) == 1 and description.size != "medium":
            words.insert(0, description.size)
        return " ".join(["an" if words[0][0] in "aeiou" else "a", *words])

    relation = " above " if description.above else " left of "
    return relation.join(noun(group) for group in description.groups)


def tell(description: Description) -> str:
    """The description in the plainest wording that the picture model was trained on."""
    told = subject(description)
    if len(description.groups) == 1 == description.groups[0].count and description.place != "center":
        told += f" {'on' if description.place in ('left', 'right') else 'at'} the {description.place}"
    if description.background in SCENES:
        told += " " + SCENES[description.background].partition(" |")[0]
    elif description.background != "white":
        told += f" on a {description.background} background"
    return told if description.style == "flat" else f"{told} in {description.style} style"


def settled(description: Description) -> Description:
    """The same with everything left out that cannot be told of several things."""
    groups = description.groups
    if len(groups) == 2 and groups[0].kind == groups[1].kind and groups[0].colour == groups[1].colour:
        groups = (replace(groups[0], count=min(MOST, groups[0].count + groups[1].count)),)
    if len(groups) == 2 or groups[0].count > 1:
        description = replace(description, size="medium", place="center")
    return replace(description, groups=groups, above=description.above and len(groups) == 2)


def side(place: str) -> str:
    """The relation of a thing at this place to a thing in the middle."""
    return {"top": "above", "bottom": "below", "center": "and"}.get(place.split()[0], place) if place else ""


def arranged(one: ThingGroup, other: ThingGroup, relation: str) -> tuple[tuple[ThingGroup, ThingGroup], bool]:
    """The groups in order, and whether the first is above the second, where `one` stands in `relation` to `other`."""
    groups = (other, one) if relation in ("right", "below") else (one, other)
    return groups, relation in ("above", "below")


def relation_between(here: str, there: str) -> str:
    """How one place lies to another."""
    heights = {"top": -1, "bottom": 1}
    up, low = heights.get(here.split()[0], 0), heights.get(there.split()[0], 0)
    if up != low:
        return "above" if up < low else "below"
    return "right" if "right" in here or ("left" in there and "left" not in here) else "left"


def clashes(group: ThingGroup, background: str) -> bool:
    """Whether the group cannot be seen before the background."""
    return group.colour in CLASHES.get(background, "").split()


def legible(description: Description, keep_background: bool) -> tuple[Description, str]:
    """The picture with contrast, and a sentence about what had to change for it."""
    there = description.background
    bad = [group for group in description.groups if clashes(group, there)]
    if not bad:
        return description, ""
    named = f"One could not see {bad[0].colour} on {there}"
    if keep_background:
        groups = tuple(replace(group, colour=seen(group, there)) for group in description.groups)
        return settled(replace(description, groups=groups)), f"{named}, so I took {seen(bad[0], there)}."
    background = next(b for b in BACKGROUNDS if not any(clashes(group, b) for group in description.groups))
    return replace(description, background=background), f"{named}, so the background is {background}."


def seen(group: ThingGroup, background: str) -> str:
    """The group's colour, or another that can be seen before the background."""
    colours = (group.colour, DEFAULTS[group.kind], *COLOURS)
    return next(colour for colour in colours if not clashes(replace(group, colour=colour), background))
