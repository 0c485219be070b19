"""What the built-in chat model says and hears outside of descriptions. Pure."""

from collections.abc import Sequence

from bot.offline_llm.scene import some
from bot.offline_llm.vocabulary import BACKGROUNDS, COLOURS, KINDS

HELP = (
    "I am the built-in stand-in for a chat model: a set of rules with a small vocabulary, and I need no key.\n"
    f"I can draw one to four of a thing, or two things together: {', '.join(some(2, kind) for kind in KINDS)}.\n"
    f"Colours: {', '.join(COLOURS)}. Things can be small or large, and stand at the top left, on the right and so on.\n"
    f"Backgrounds: any of these colours, {', '.join(BACKGROUNDS)}, the beach, a meadow, the night, a sunset, the sea "
    "or snow. Styles: outline and pixel.\n"
    "Then talk about the pictures: “make it blue”, “put it on the beach”, “add a star”, “more like the first one”, "
    "“I like the second”, “refine it”.\n"
    "With OPENAI_BASE_URL set, a real chat model answers in my place."
)
HELP_WANTED = (
    *("what can you", "what you can", "who are you", "what are you", "how do you work", "how does this work"),
    *(
        "are you a",
        "are you an",
        "are you real",
        "are you human",
        "which model are you",
        "how can i",
        "how do i",
        "what can i",
    ),
    *(
        "what colours",
        "which colours",
        "what colors",
        "which colors",
        "what shapes",
        "which shapes",
        "what styles",
        "which styles",
    ),
)
FIXED = {
    "how are you": "I am fine, thank you. What shall I draw?",
    "undo": "Nothing is lost: every picture is still there. Say “I like the first” to go on from an older one.",
}
JOKES = (
    "What did the circle say to the triangle? “I don't see your point.”",
    "Why did the star go to school? To get a little brighter.",
    "Why was the moon not hungry? It was already full.",
    "What do you call a fish without an eye? A fsh.",
    "Why did the square never get lost? It knew every corner.",
)
HELLO = (
    "Hello! What shall I draw?",
    "Hi there! Tell me what you would like to see.",
    "Hello! Shall we draw something?",
)
WELCOME = ("You are welcome!", "With pleasure!", "Any time!")
GLAD = ("I am glad you like it.", "That makes me happy.", "Lovely to hear.")
TASTES = ("So do I! Tell me what I shall draw.", "Good to know! Tell me what to draw or change.")
SORRY = ("What would you like instead?", "Then tell me what to draw or change.")
UNKNOWING = (
    "I am only a set of rules, so I do not know; but I can draw.",
    "That is for a real chat model to answer; I can draw.",
)
QUIET = ("All right, I leave everything as it is.", "Fine, nothing changes.")
NEXT = ("Good! What comes next?", "Fine! What shall I draw or change?")
EXAMPLES = (
    "“draw a red circle on a light blue background” or “three small pictures of a cat”",
    "“a cat and a tree in the snow” or “four pink hearts”",
    "“draw a house at night” or “a yellow moon above two green trees as pixel art”",
)
CHANGES = ("“make it blue” or “more like the first one”", "“put it on the beach” or “add a star”")
ADVENTURES = (
    "One evening the {} went for a long walk and found that the world was even bigger than the picture.",
    "There was a lot to see there, and so the {} forgot the time.",
    "Somebody said hello, and that was how the {} found a friend.",
)
SURPRISES = (
    "an orange cat in a meadow",
    "a yellow moon above two red houses on a navy background",
    "three pink flowers on a light green background",
    "a large blue fish in the sea in pixel style",
)
LANDSCAPES = {
    "beach": "a yellow circle at the top on the beach",
    "meadow": "three pink flowers in a meadow",
    "night": "a yellow moon at night",
    "sunset": "a yellow circle at sunset",
    "sea": "two orange fish in the sea",
    "snow": "a green tree in the snow",
}
GREETINGS = set("hello hi hey hallo howdy greetings morning evening afternoon good moin servus yo".split())
THANKS = set("thanks thank thx ty cheers danke merci".split())
PRAISE = set(
    "nice great cool love lovely beautiful good well done wow perfect awesome super amazing like fantastic excellent "
    "pretty cute wonderful haha lol".split()
)
STOP = set("no nope stop nothing nevermind never mind cancel bye goodbye".split())
ASSENT = set("ok okay yes yeah yep sure alright fine".split())
COURTESIES = ((GREETINGS, HELLO), (THANKS, WELCOME), (PRAISE, GLAD), (STOP, QUIET), (ASSENT, NEXT))
SURPRISE = {"something", "anything", "surprise", "random"}
PADDING = set(
    "thats you so very much it that this bot there my friend i all a lot the is are really looks again to for".split()
)


def one_of(choices: Sequence[str], turn: int) -> str:
    """One of several ways to say it, another one each turn."""
    return choices[turn % len(choices)]
