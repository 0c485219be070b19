"""The board of a fleet's painters."""

from bot.capabilities import Abilities
from render.protocol import Slots, Usual
from render.worker.free_replicas import Board

FREE = Slots(1, 1, "flat", "r1", abilities=Abilities(), usual=Usual(512, 512, 20), largest_batch=4)
BUSY = Slots(1, 0, "flat", "r1", abilities=Abilities(), usual=Usual(512, 512, 20), largest_batch=2)
LOADING = Slots()
HOPELESS = Slots(trouble="The picture model cannot be loaded.")


def test_nobody_said_anything_yet() -> None:
    """No slots, no trouble, and nobody to give a batch to."""
    board = Board()
    assert board.slots() == Slots()
    assert board.take() is None


def test_the_fleet_speaks_as_one_worker() -> None:
    """Painters that loaded are slots; the model is theirs; a batch fits the smallest of them."""
    board = Board()
    board.hear({"a": LOADING, "b": FREE, "c": BUSY, "d": HOPELESS}, 0)
    told = board.slots()
    assert (told.slots, told.free, told.model, told.revision, told.trouble) == (2, 1, "flat", "r1", None)
    assert (told.abilities, told.usual, told.largest_batch) == (Abilities(), FREE.usual, 2)


def test_trouble_is_told_while_nobody_can_paint() -> None:
    """One hopeless painter among others that load is no reason to hope."""
    board = Board()
    board.hear({"a": LOADING, "b": HOPELESS}, 0)
    assert board.slots() == HOPELESS


def test_each_painter_has_one_batch() -> None:
    """What was given out is not free, though the painter's word is older; what came back is."""
    board = Board()
    board.hear({"a": FREE, "b": FREE}, 0)
    taken = {board.take(), board.take()}
    assert taken == {"a", "b"}
    assert (board.take(), board.slots().free, board.slots().slots) == (None, 0, 2)
    board.hear({"a": FREE, "b": FREE}, 1)
    assert board.take() is None
    board.give_back("a")
    assert board.take() == "a"


def test_a_batch_that_broke_off_leaves_doubt() -> None:
    """Only an answer to a later question clears it: one that was asked before says nothing."""
    board = Board()
    board.hear({"a": FREE}, 0)
    assert board.take() == "a"
    board.give_back("a", broke_off=5)
    assert board.take() is None
    board.hear({"a": FREE}, 4)
    assert board.take() is None
    board.hear({"a": BUSY}, 6)
    assert board.take() is None
    board.hear({"a": FREE}, 7)
    assert board.take() == "a"


def test_a_painter_that_is_gone_is_forgotten() -> None:
    """It is no slot any more, and its return would be as another."""
    board = Board()
    board.hear({"a": FREE, "b": FREE}, 0)
    board.give_back("a", broke_off=1)
    board.hear({"b": FREE}, 0.5)
    assert (board.slots().slots, board.take(), board.broken) == (1, "b", {})
