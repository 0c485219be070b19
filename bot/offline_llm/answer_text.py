"""What is to be done -> words with image tags among them. Pure."""

from collections.abc import Sequence
from typing import assert_never

from bot.domain import Operation
from bot.offline_llm.actions import Act, Draw, Edit, Pick, Refine, Tell
from bot.offline_llm.replies import one_of
from bot.offline_llm.scene import Description, subject, tell
from bot.offline_llm.vocabulary import MOST

EDITED = ("Here is #{} again, now {}:", "#{}, now {}:", "There you go, #{} is now {}:")
PARTLY = "#{}, changed only where it was marked:"
REFINED = ("Once more with care, #{}:", "I polish #{}:")
VARIED = ("Another one like #{}:", "A sister of #{}:", "Something close to #{}:")
CHOSEN = ("#{} it is:", "A good choice, #{}:")


def compose(acts: Sequence[Act], turn: int, marked: int | None = None) -> str:
    """The answer: words and tags in the order in which things were asked for; of the `marked` one a part changes."""
    blocks: list[str] = []
    tags = 0
    for place, act in enumerate(acts):
        if tags >= MOST and not isinstance(act, Tell):
            blocks.append("Four pictures are the most I draw at once.")
            break
        match act:
            case Draw(description, remarks, times):
                times = min(times, MOST - tags)
                blocks += [_draw_words(description, place, turn, times), *[_tag("image", None, description)] * times]
                blocks += [remark for remark in remarks if remark not in blocks]
                tags += times
            case Edit(of, description, remarks):
                opening = one_of(EDITED, turn + place).format(of, tell(description))
                opening = PARTLY.format(of) if of == marked else opening
                blocks += [opening, _tag("edit", of, description), *remarks]
                tags += 1
            case Refine(of, description):
                blocks += [one_of(REFINED, turn + place).format(of), _tag("refine", of, description)]
                tags += 1
            case Pick(operation, of):
                openings = VARIED if operation is Operation.VARY else CHOSEN
                blocks += [one_of(openings, turn + place).format(of), f'<{operation} of="{of}"/>']
                tags += 1
            case Tell(words):
                blocks += [words] if words not in blocks else []
            case _:
                assert_never(act)
    return "\n".join(blocks)


def _draw_words(description: Description, place: int, turn: int, times: int) -> str:
    what = subject(description) + ("", ", twice", ", three times", ", four times")[times - 1]
    verb = "is" if what.startswith(("a ", "an ")) and len(description.groups) == 1 else "are"
    if place:
        return one_of((f"And here {verb} {what}:", f"Next, {what}:", f"Then {what}:"), place + turn)
    return one_of((f"Here {verb} {what}:", f"With pleasure, {what}:", f"Coming up, {what}:"), turn)


def _tag(name: str, of: int | None, description: Description) -> str:
    target = "" if of is None else f' of="{of}"'
    return f"<{name}{target}>{tell(description)}</{name}>"
