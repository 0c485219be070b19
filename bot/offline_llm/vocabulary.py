"""The words of the built-in chat model, and what they stand for."""

MOST = 4  # things of a kind in a picture, and pictures in a reply
# The picture model's words: the word itself, exact synonyms, and after the bar words for which it is only the nearest.
COLOURS = {
    "red": "| crimson scarlet ruby maroon cherry burgundy",
    "orange": "| amber tangerine apricot peach coral",
    "yellow": "| gold golden lemon mustard",
    "green": "| lime olive emerald teal mint",
    "blue": "| azure cobalt indigo sapphire turquoise cyan aqua aquamarine",
    "purple": "violet | plum lilac mauve",
    "pink": "| magenta fuchsia salmon",
    "brown": "| tan chocolate bronze",
    "black": "| ebony charcoal",
    "gray": "grey | silver",
    "white": "| ivory beige",
}
BACKGROUNDS = {"light blue": "blue", "light green": "green", "cream": "white", "navy": "blue", "lavender": "purple"}
TINTS = {
    "light blue": "sky-blue pale-blue baby-blue turquoise aqua",
    "light green": "pale-green mint",
    "cream": "beige ivory light-yellow pale-yellow",
    "navy": "dark-blue deep-blue navy-blue",
    "lavender": "light-purple pale-purple light-violet lilac",
}
SCENES = {
    "beach": "on the beach | beaches sand shore seaside coast",
    "meadow": "in a meadow | meadows grass park garden lawn field",
    "night": "at night | nighttime night-sky midnight space",
    "sunset": "at sunset | sunrise evening dusk twilight",
    "sea": "in the sea | ocean water underwater lake under-water",
    "snow": "in the snow | winter snowy snowfall",
}
KINDS = {
    "circle": "ball disc disk dot ring",
    "square": "box cube block rectangle",
    "triangle": "pyramid",
    "star": "starlet",
    "heart": "valentine",
    "diamond": "rhombus rhomb lozenge gem",
    "moon": "crescent half-moon crescent-moon",
    "cross": "plus-sign",
    "house": "home cottage hut cabin building",
    "tree": "oak bush",
    "flower": "blossom bloom tulip",
    "face": "smiley smile emoji smiley-face smiling-face",
    "cat": "kitten kitty pussycat",
    "fish": "fishes",
}
HINTED = {  # things that are a kind in a colour of their own
    "sun": "yellow circle",
    "goldfish": "orange fish",
    "starfish": "orange star",
    "rose": "red flower",
    "sunflower": "yellow flower",
    "daisy": "white flower",
    "apple": "red circle",
    "snowball": "white circle",
    "bluebell": "blue flower",
}
STAND_INS = {  # what comes nearest, for things that the picture model has never seen
    "brown cat": "dog puppy horse bear monkey tiger lion deer hamster",
    "gray cat": "wolf mouse rat elephant hippo",
    "white cat": "rabbit bunny unicorn sheep goat cow",
    "pink cat": "pig",
    "orange cat": "fox",
    "black cat": "panther bat",
    "green fish": "dragon dinosaur crocodile snake lizard turtle",
    "blue fish": "whale bird dolphin parrot",
    "gray fish": "shark owl",
    "yellow fish": "duck chicken submarine",
    "black fish": "penguin",
    "gray face": "robot cyborg",
    "green face": "alien monster frog zombie",
    "white face": "ghost astronaut skeleton snowman cosmonaut",
    "yellow face": "person man woman boy girl boss king queen princess pirate wizard ninja clown superhero knight",
    "purple flower": "butterfly dragonfly",
    "green tree": "cactus palm-tree pine christmas-tree palm forest",
    "red house": "car truck tractor lorry",
    "gray house": "castle skyscraper church spaceship ufo",
    "brown house": "ship pirate-ship sailboat",
    "yellow house": "bus taxi",
    "gray triangle": "mountain volcano",
    "red triangle": "rocket",
    "orange triangle": "tent pizza",
    "red circle": "balloon tomato",
    "blue circle": "planet earth globe",
    "brown circle": "cookie potato",
    "pink circle": "donut doughnut",
    "white circle": "egg",
    "orange circle": "pumpkin",
    "pink square": "cake gift",
    "brown square": "chair table guitar",
    "yellow moon": "banana",
    "gray cross": "sword airplane aeroplane helicopter",
}
PLURALS = {"fish": "fish", "cross": "crosses", "box": "boxes", "kitty": "kitties", "daisy": "daisies"} | {
    "man": "men",
    "woman": "women",
    "puppy": "puppies",
    "bunny": "bunnies",
    "mouse": "mice",
    "wolf": "wolves",
    "sheep": "sheep",
}
DEFAULTS = dict(
    pair.split(":")
    for pair in (
        "circle:red square:blue triangle:green star:orange heart:red diamond:purple moon:yellow cross:red "
        "house:red tree:green flower:pink face:yellow cat:orange fish:blue"
    ).split()
)
SHAPES = tuple(KINDS)[:8]
CLASHES = {  # colours that cannot be seen before a background
    "red": "red orange brown",
    "orange": "red orange yellow",
    "yellow": "orange yellow",
    "purple": "purple gray",
    "brown": "red brown",
    "gray": "purple gray",
    "light blue": "white",
    "cream": "pink white",
    "navy": "black",
    "lavender": "white",
    "snow": "white",
} | {colour: colour for colour in ("green", "blue", "pink", "black", "white")}
NUMBERS = {
    1: "1 one single",
    2: "2 two pair couple",
    3: "3 three some several few",
    4: "4 four many lots",
    5: "five six seven eight nine ten dozen hundred thousand",  # stands for "more than four"
}
SIZES = {
    "small": "small little tiny mini",
    "large": "large big huge giant enormous",
    "medium": "medium normal-size medium-sized",
    "bigger": "bigger larger enlarge grow biggest",
    "smaller": "smaller shrink smallest",
}
PLACES = {
    "top left": "top-left upper-left left-top",
    "top right": "top-right upper-right right-top",
    "bottom left": "bottom-left lower-left left-bottom",
    "bottom right": "bottom-right lower-right right-bottom",
    "top": "top up upwards",
    "bottom": "bottom down downwards",
    "left": "left",
    "right": "right",
    "center": "center centre middle",
}
STYLES = {
    "outline": "in-outline-style as-an-outline outline outlined outline-style outlines line-drawing line-art "
    "as-a-sketch as-a-line-drawing a-sketch-of pencil contour",
    "pixel": "in-pixel-style as-pixel-art pixel pixels pixelated pixelart pixel-art pixel-style 8-bit 8bit retro",
    "flat": "flat flat-style filled without-outline without-the-outline no-outline normal-style without-pixels "
    "without-the-pixels no-pixels",
}
RELATIONS = {
    "left": "left-of to-the-left-of on-the-left-of",
    "right": "right-of to-the-right-of on-the-right-of",
    "above": "above over on-top-of at-the-top-of atop",
    "below": "below under beneath underneath",
    "and": "and with next-to beside near by plus in-front-of behind along-with together-with",
    "instead": "instead-of rather-than",
}
NUMERALS = "first second third fourth fifth sixth seventh eighth ninth tenth".split()
SUFFIXES = "1st 2nd 3rd 4th 5th 6th 7th 8th 9th 10th".split()
REFERENCES = {
    "last": "last latest newest most-recent",
    "before": "previous one-before picture-before one-before-that",
    "left": "left-one leftmost",
    "right": "right-one rightmost",
    "both": "both both-of-them both-pictures",
    "all": "all-of-them them-all all-pictures all-three all-four every-picture",
}
VERBS = {
    "draw": "draw next new-picture new-image new-drawing something-else "
    "paint sketch create generate illustrate design render doodle show-me give-me i-want id-like "
    "i-would-like i-need can-i-have may-i-have can-i-get a-picture-of a-drawing-of an-image-of a-painting-of",
    "make": "make do",
    "change": "change edit modify update turn replace swap recolor recolour convert transform",
    "put": "put place move set shift",
    "add": "add include insert give-it",
    "remove": "remove delete erase without drop lose take-away get-rid-of no take-out less fewer",
    "vary": "vary variation variations variant variants more-like similar something-like another-one again "
    "another-version once-more same-again try-again redo another one-more more like-this like-that "
    "remix copy duplicate alternative alternatives another-take different-version new-version",
    "select": "ill-have wins winner vote vote-for go-with go-for stick-with bring-back go-back-to back-to return-to "
    "take pick choose select keep i-like i-love i-prefer prefer use lets-use best favourite favorite love",
    "refine": "refine clean cleaner crisp crisper quality higher-quality "
    "polish improve nicer detail details detailed better enhance sharper upscale prettier sharpen",
}
LITTLE = (
    "please pls could can would will you your i id want like to see is are be was as in into on-to at for of from have "
    "has should must let lets us me so then just now some also too bot hey hi hello well ok okay yes there here "
    "again but if colour color colored coloured colours colors in-color everything out off do did done get got made "
    "drawn stay standing sitting swimming first second third finally scene style size position picture-with one-with "
    "kind thing things thanks thank much only maybe perhaps when he she they we not more back all-right alright "
    "right-now thats-right theres heres look looks looking up-there how about what which who why whole than way bit "
    "little-bit a-little-bit a-bit a-little-more try thats so-that something anything all "
    "after-all at-all right-back be-right-back last-thing one-last-thing one-more-thing today show even "
    "or corner meant mean said say says think playing holding wanted rather instead hm hmm oh actually"
)
NICE = "nice cute pretty beautiful happy lovely simple very really quite shiny plain bright funny good great same own"


def plain(text: str, limit: int = 40) -> str:
    """The text's letters, digits and spaces, so that it can be repeated without harm."""
    return " ".join("".join(c if c.isalnum() else " " for c in text[: 4 * limit]).split())[:limit].strip()
