"""Applies the request of a clause to a scene description. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from bot.offline_llm.scene import Description, ThingGroup, arranged, clashes, legible, seen, settled, side
from bot.offline_llm.scene_parser import Mention, SceneRequest, describe, remarks_on
from bot.offline_llm.vocabulary import BACKGROUNDS, COLOURS, MOST, SHAPES, STYLES


def changed(base: Description, request: SceneRequest, verbs: frozenset[str]) -> tuple[Description, tuple[str, ...]]:
    """The description after the change, and what there is to say about it."""
    remarks = remarks_on(request)
    if verbs >= {"remove", "add"}:
        verbs = frozenset({"change"})
    if "remove" in verbs and (request.mentions or request.backdrop):
        after = _removed(base, request, remarks)
        return after, tuple(remarks)
    after = _regrouped(base, request, verbs, remarks)
    after = _recoloured(after, request)
    single = len(after.groups) == 1
    if request.count and single and not any(mention.count for mention in request.mentions):
        after = replace(after, groups=(replace(after.groups[0], count=request.count),))
    if request.background:
        after = replace(after, background=request.background)
    if request.style:
        after = replace(after, style=request.style)
    if request.other == "places":
        after = replace(after, groups=after.groups[::-1])
    if request.other in ("background", "style"):
        after = _other(after, request.other)
    pair, alone = len(after.groups) == 2, settled(replace(after, size="small")).size == "small"
    if (
        pair
        and request.place
        and len(base.groups) == 2
        and not any(not mention.definite for mention in request.mentions)
    ):
        after = _moved(after, request)
    elif alone:
        size = _size(after.size, request.size) if request.size else after.size
        after = replace(after, size=size, place=request.place or after.place)
    elif request.size or (request.place and not pair):
        remarks.append("I can choose the size and place of a single thing only.")
    after, remark = legible(settled(after), bool(request.background))
    return after, tuple(filter(None, (*remarks, remark)))


def spot_of(groups: Sequence[ThingGroup], mention: Mention) -> int | None:
    """Which of the groups is meant."""
    fitting = [n for n, group in enumerate(groups) if mention.kind == group.kind]
    exact = [n for n in fitting if mention.colour in ("", groups[n].colour)]
    return next(iter(exact or fitting), None)


def _removed(base: Description, request: SceneRequest, remarks: list[str]) -> Description:
    groups = list(base.groups)
    for mention in request.mentions:
        place = spot_of(groups, mention)
        if place is None:
            remarks.append(f"I see no {mention.word} in it.")
        elif 0 < mention.count < groups[place].count:
            groups[place] = replace(groups[place], count=groups[place].count - mention.count)
        elif len(groups) == 1:
            remarks.append("Then nothing would be left in the picture.")
        else:
            del groups[place]
    after = replace(base, groups=tuple(groups))
    if request.backdrop:
        after = replace(after, background="white")
    return legible(settled(after), True)[0]


def _regrouped(base: Description, request: SceneRequest, verbs: frozenset[str], remarks: list[str]) -> Description:
    """Other things in the picture, more of them, or in another order."""
    new = [mention for mention in request.mentions if not mention.definite]
    old = [mention for mention in request.mentions if mention.definite]
    spots = [spot_of(base.groups, mention) for mention in old]
    for mention, spot in zip(old, spots, strict=True):
        if spot is None and "add" in verbs:
            new.append(mention)
        elif spot is None:
            remarks.append(f"I see no {mention.colour} {mention.word}".replace("  ", " ") + " in it.")
    relation = next((mention.relation for mention in request.mentions if mention.relation not in ("", "instead")), "")
    if not new:
        if len(old) == 2 and None not in spots and old[1].relation not in ("", "and") and spots[0] != spots[1]:
            one, other = (base.groups[spot] for spot in spots if spot is not None)
            groups, above = arranged(one, other, old[1].relation)
            return replace(base, groups=groups, above=above)
        return base
    adds = bool(verbs & {"add", "vary"} or request.towards or request.mentions[0].relation)
    adds = adds or ("put" in verbs and not any(mention.relation == "instead" for mention in old))
    if adds and "change" not in verbs:
        for mention in new:
            base = _added(base, mention, request.towards or relation, remarks, after=request.mentions[0].definite)
        return base
    if len(new) > 1:
        other_picture = describe(SceneRequest(mentions=new))
        return replace(base, groups=other_picture.groups, above=other_picture.above) if other_picture else base
    spot = next((spot for spot in spots if spot is not None), 0)
    was, mention = base.groups[spot], new[0]
    fixed = was.kind not in SHAPES and was.colour == Mention(was.kind).group().colour
    colour = mention.colour or mention.recolour or mention.hint or ("" if fixed else was.colour)
    count = mention.count or (was.count if mention.plural and was.count > 1 else 0)
    group = replace(mention, colour=colour, count=count).group()
    groups_after = tuple(group if n == spot else kept for n, kept in enumerate(base.groups))
    return replace(base, groups=groups_after)


def _added(base: Description, mention: Mention, relation: str, remarks: list[str], after: bool) -> Description:
    """One more thing: more of the same, or a second group; `after` when the relation was told from the old one."""
    count = mention.count or (2 if mention.plural else 1)
    for n, group in enumerate(base.groups):
        if group.kind == mention.kind and mention.colour in ("", group.colour):
            if group.count == MOST:
                remarks.append("Four of a kind are the most I can draw.")
            more = replace(group, count=min(MOST, group.count + count))
            return replace(base, groups=tuple(more if m == n else kept for m, kept in enumerate(base.groups)))
    if len(base.groups) == 2:
        remarks.append("Two kinds of things fit into one picture; take one out first.")
        return base
    group = replace(mention, count=count).group()
    if not mention.colour:
        group = replace(group, colour=seen(group, base.background))
    relation = side(mention.place) if relation in ("", "and") else relation
    if relation in ("", "and"):
        return replace(base, groups=(*base.groups, group), above=False)
    one, other = (base.groups[0], group) if after else (group, base.groups[0])
    groups, above = arranged(one, other, relation)
    return replace(base, groups=groups, above=above)


def _recoloured(base: Description, request: SceneRequest) -> Description:
    groups = list(base.groups)
    colour = ""
    for mention in reversed(request.mentions):
        colour = mention.recolour or (colour if mention.definite else "")
        spot = spot_of(groups, mention)
        if mention.definite and colour and spot is not None:
            groups[spot] = replace(groups[spot], colour=colour)
    if len(request.colours) > 1:
        old, new = request.colours[0], request.colours[-1]
        groups = [replace(group, colour=new) if group.colour == old else group for group in groups]
    elif request.colours:
        groups = [replace(group, colour=request.colours[0]) for group in groups]
    if request.other == "colour":
        groups = [replace(group, colour=_next(list(COLOURS), group.colour)) for group in groups]
    return replace(base, groups=tuple(groups))


def _moved(base: Description, request: SceneRequest) -> Description:
    """Two things change their sides when one of them is moved."""
    spots = [spot_of(base.groups, mention) for mention in request.mentions if mention.definite]
    spot = next((spot for spot in spots if spot is not None), 0)
    relation = side(request.place)
    if relation == "and":
        return base
    groups, above = arranged(base.groups[spot], base.groups[1 - spot], relation)
    return replace(base, groups=groups, above=above)


def _size(now: str, wanted: str) -> str:
    steps = ("small", "medium", "large")
    if wanted in steps:
        return wanted
    step = steps.index(now) + (1 if wanted == "bigger" else -1)
    return steps[max(0, min(2, step))]


def _other(base: Description, what: str) -> Description:
    if what == "style":
        return replace(base, style=_next(list(STYLES), base.style))
    backgrounds = [*BACKGROUNDS, "beach", "meadow", "sunset", "sea"]
    fitting = [there for there in backgrounds if not any(clashes(group, there) for group in base.groups)]
    return replace(base, background=_next(fitting, base.background))


def _next(choices: Sequence[str], now: str) -> str:
    return choices[(choices.index(now) + 1) % len(choices)] if now in choices else choices[0]
