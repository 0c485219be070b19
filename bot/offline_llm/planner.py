"""What is to be done for a message: draw, edit, refine, choose, or say. Pure."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from bot.domain import Operation
from bot.offline_llm.actions import Act, Draw, Edit, Pick, Refine, Tell
from bot.offline_llm.clauses import MOST_CLAUSES, ClauseRequest, clauses, holding_picture, request_of
from bot.offline_llm.replies import EXAMPLES, GLAD, LANDSCAPES, SORRY, TASTES, one_of
from bot.offline_llm.request_context import RequestContext, known_picture
from bot.offline_llm.scene import Description, legible, tell
from bot.offline_llm.scene_edits import changed
from bot.offline_llm.scene_parser import SceneRequest, describe, parse, remarks_on
from bot.offline_llm.tokenizer import Sort, lex
from bot.offline_llm.vocabulary import MOST, plain


def plan(asked: RequestContext) -> list[Act]:
    """What the message asks for, clause by clause; nothing when it was not understood."""
    acts: list[Act] = []
    focus, last_verb = asked.focus(), ""
    tokens = lex(asked.text)
    apart = any(token.sort is Sort.SEPARATE for token in tokens)
    for clause in islice(clauses(tokens), MOST_CLAUSES):
        request = replace(request_of(clause, asked, focus, acts), separate=apart)
        if request.named and request.targets and not request.scene.says() and not request.verbs and last_verb:
            request = replace(request, verbs=frozenset({last_verb}))
        acts = _act(request, asked, acts)
        focus = request.targets[-1] if request.targets else focus
        last_verb = next((verb for verb in ("vary", "refine", "select") if verb in request.verbs), "")
    drawn = [act for act in acts if isinstance(act, Draw)]
    if len(drawn) > 1:
        acts = [replace(act, times=1) if isinstance(act, Draw) else act for act in acts]
    return acts


def _act(request: ClauseRequest, asked: RequestContext, acts: list[Act]) -> list[Act]:
    """The acts so far and what this clause adds to them, or changes in the last one."""
    wish, verbs = request.scene, request.verbs
    fresh = acts[-1] if acts and isinstance(acts[-1], Draw | Edit) and not request.named else None
    if request.missing:
        return [*acts, Tell(missing_numbers(request.missing, asked))]
    if feeling := _feeling(request, asked):
        return [*acts, Tell(one_of(feeling, asked.turn))]
    if isinstance(fresh, Draw) and request.again:
        same = replace(fresh, remarks=())
        return [*acts, _redrawn(same, wish, verbs) if wish.says() else same]
    if _draws(request, asked, fresh is not None):
        return acts + _drawn(request)
    if isinstance(fresh, Draw) and wish.says():
        return [*acts[:-1], _redrawn(fresh, wish, verbs)]
    about_a_picture = wish.mentions or request.named or request.pronoun or request.again or fresh
    if ("draw" in verbs or not asked.pictures) and not about_a_picture:
        if wish.background in LANDSCAPES and not wish.unknown:
            view = replace(known_picture(LANDSCAPES[wish.background]), style=wish.style or "flat")
            return [*acts, Draw(view, ("A background alone would look empty, so I put something there.",))]
        if wish.unknown and "draw" in verbs:
            return acts
    if verbs & {"vary", "refine", "select"} and not request.targets:
        return [*acts, Tell(missing_numbers((), asked))]
    known = all(parse(asked.pictures[number]) for number in request.targets)
    if "refine" in verbs and not (changes_something(wish) and known):
        refined = [_refined(number, asked, wish) for number in request.targets]
        return acts + [act for act in refined if act not in acts]
    if "vary" in verbs and not changes_something(wish):
        picks = [Pick(Operation.VARY, number) for number in request.targets for _ in range(wish.count or 1)]
        return acts + picks[:MOST]
    if "select" in verbs and not changes_something(wish):
        if wish.unknown and not (request.named or request.pronoun or wish.mentions):
            return acts
        return acts + [Pick(Operation.SELECT, number) for number in request.targets]
    if not wish.says() and not (wish.backdrop and "remove" in verbs):
        if request.named and len(request.targets) == 1 and not verbs - {"draw"} and not wish.unknown:
            return acts + [Pick(Operation.SELECT, number) for number in request.targets]
        return acts
    if not request.targets:
        return [*acts, Tell(missing_numbers((), asked))]
    if request.known < len(wish.unknown) and not verbs:
        return acts
    for number in request.targets:
        acts = _edited(number, request, asked, acts)
    return acts


LIKES = re.compile(r"(?:\w+ )?(?:i|we|you) (?:(?:really|also|just|so|do) )*(?:like|love|adore)\b|love\b")
DISLIKES = re.compile(
    r"(?:\w+ )?(?:i|we) (?:(?:really|just) )*(?:hate|dislike|(?:dont|do not) (?:really )?(?:like|love))\b"
)


def _feeling(request: ClauseRequest, asked: RequestContext) -> tuple[str, ...]:
    """The replies to a clause that only says what somebody likes; none when it chooses or changes a picture."""
    said, wish = " ".join(request.raws), request.scene
    if request.verbs - {"select", "make"}:
        return ()
    if DISLIKES.match(said):
        return SORRY
    if not LIKES.match(said) or request.named:
        return ()
    if not wish.says():
        return GLAD if asked.about is None else ()
    definite = [mention for mention in wish.mentions if mention.definite]
    shown = definite and (asked.about is not None or holding_picture(definite, asked, None))
    return () if shown or request.pronoun or {"the", "one"} <= {*request.raws} else TASTES


def changes_something(scene: SceneRequest) -> bool:
    """Whether more is said than which picture is meant."""
    return bool(
        scene.colours
        or scene.background
        or scene.style
        or scene.size
        or scene.place
        or scene.other
        or any(not mention.definite or mention.recolour for mention in scene.mentions)
    )


def _draws(request: ClauseRequest, asked: RequestContext, fresh: bool) -> bool:
    """Whether the clause asks for a new picture rather than for a change."""
    wish, verbs = request.scene, request.verbs
    things = wish.mentions
    if not things or request.named or (not verbs and len(wish.unknown) >= request.known):
        return False
    if not asked.pictures and not fresh:
        return True
    if wish.pictures or request.separate:
        return True
    if "draw" in verbs:
        return not things[0].definite or not holding_picture(things[:1], asked, None)
    if things[0].definite or request.pronoun or verbs & {"add", "remove", "change"}:
        return False
    if "put" in verbs:
        return bool(wish.background)
    if verbs & {"make", "vary", "refine", "select"}:
        return not ("more" in request.raws and "vary" in verbs)
    return not things[0].relation and asked.about is None


def _drawn(request: ClauseRequest) -> list[Act]:
    wish, remarks = request.scene, remarks_on(request.scene)
    things = wish.mentions
    times = wish.pictures or 1
    if times > MOST or (len(things) > MOST and request.separate):
        remarks.append("Four pictures are the most I draw at once.")
    if request.separate and len(things) == 1 and things[0].count > 1:
        times, wishes = things[0].count, [replace(wish, mentions=[replace(things[0], count=1)])]
    elif request.separate or (1 < times == len(things)):
        wishes = [replace(wish, mentions=[thing]) for thing in things[:MOST]]
        times = 1
    else:
        wishes = [wish]
        if len(things) > 2:
            left_out = " and ".join(thing.word for thing in things[2:4])
            remarks.append(f"Two kinds of things fit into one picture, so I left out the {left_out}.")
    draws: list[Act] = []
    for one in wishes:
        if description := describe(one):
            coloured = one.colours or any(thing.colour or thing.recolour for thing in one.mentions)
            description, remark = legible(description, bool(one.background and not coloured))
            told = (*remarks, remark) if one is wishes[-1] else (remark,)
            draws.append(Draw(description, tuple(filter(None, told)), min(times, MOST)))
    return draws


def _redrawn(draw: Draw, scene: SceneRequest, verbs: frozenset[str]) -> Draw:
    description, remarks = changed(draw.description, scene, verbs)
    return replace(draw, description=description, remarks=(*draw.remarks, *remarks))


def _refined(number: int, asked: RequestContext, scene: SceneRequest) -> Act:
    description = parse(asked.pictures[number]) or describe(scene)
    return Refine(number, legible(description, False)[0]) if description else Tell(_blind(number, "refine"))


def _edited(number: int, request: ClauseRequest, asked: RequestContext, acts: list[Act]) -> list[Act]:
    wish = request.scene
    before = acts[-1] if acts else None
    if isinstance(before, Edit) and before.of == number and request.again:
        base: Description | None = before.description
        earlier: tuple[str, ...] = ()
    elif isinstance(before, Edit) and before.of == number:
        base = before.description
        acts, earlier = acts[:-1], before.remarks
    else:
        base, earlier = parse(asked.pictures[number]), ()
    if base is None:
        description = describe(wish)
        if description is None:
            return [*acts, Tell(_blind(number, "edit"))]
        description, remark = legible(description, True)
        return [*acts, Edit(number, description, tuple(filter(None, (*remarks_on(wish), remark))))]
    description, remarks = changed(base, wish, request.verbs)
    if description == base and not earlier:
        said = " ".join(remarks) or f"#{number} already shows {tell(base)}."
        return [*acts, Tell(said)]
    return [*acts, Edit(number, description, (*earlier, *remarks))]


def missing_numbers(numbers: Sequence[str], asked: RequestContext) -> str:
    """What to say of numbers that no picture has."""
    if not asked.pictures:
        return f"There is no picture yet. Try {one_of(EXAMPLES, asked.turn)}."
    have = [f"#{number}" for number in sorted(asked.pictures)][-8:]
    wanted = " and ".join(f"#{plain(number, 6)}" for number in numbers[:3])
    listed = have[0] if len(have) == 1 else f"{', '.join(have[:-1])} and {have[-1]}"
    return f"There is no picture {wanted}; I know {listed}."


def _blind(number: int, verb: str) -> str:
    return (
        f"I cannot tell what is in #{number}, and so I cannot {verb} it that way. "
        "Say what the new picture should show, for example “make it a blue circle on the beach”."
    )
