"""The board of a fleet's painters."""

from bot.capabilities import ModelCapabilities
from render.protocol import Defaults, WorkerReport
from render.worker.free_replicas import FreeReplicas

FREE = WorkerReport(
    1, 1, "flat", "r1", capabilities=ModelCapabilities(), defaults=Defaults(512, 512, 20), largest_batch=4
)
BUSY = WorkerReport(
    1, 0, "flat", "r1", capabilities=ModelCapabilities(), defaults=Defaults(512, 512, 20), largest_batch=2
)
LOADING = WorkerReport()
HOPELESS = WorkerReport(trouble="The picture model cannot be loaded.")


def test_nobody_said_anything_yet() -> None:
    """No slots, no trouble, and nobody to give a batch to."""
    board = FreeReplicas()
    assert board.slots() == WorkerReport()
    assert board.take() is None


def test_the_fleet_speaks_as_one_worker() -> None:
    """Painters that loaded are slots; the model is theirs; a batch fits the smallest of them."""
    board = FreeReplicas()
    board.update({"a": LOADING, "b": FREE, "c": BUSY, "d": HOPELESS}, 0)
    report = board.slots()
    assert (report.slots, report.free, report.model, report.revision, report.trouble) == (2, 1, "flat", "r1", None)
    assert (report.capabilities, report.defaults, report.largest_batch) == (ModelCapabilities(), FREE.defaults, 2)


def test_trouble_is_reported_while_nobody_can_paint() -> None:
    """One hopeless painter among others that load is no reason to hope."""
    board = FreeReplicas()
    board.update({"a": LOADING, "b": HOPELESS}, 0)
    assert board.slots() == HOPELESS


def test_each_worker_has_one_batch() -> None:
    """What was given out is not free, though the painter's word is older; what came back is."""
    board = FreeReplicas()
    board.update({"a": FREE, "b": FREE}, 0)
    taken = {board.take(), board.take()}
    assert taken == {"a", "b"}
    assert (board.take(), board.slots().free, board.slots().slots) == (None, 0, 2)
    board.update({"a": FREE, "b": FREE}, 1)
    assert board.take() is None
    board.give_back("a")
    assert board.take() == "a"


def test_a_batch_that_broke_off_leaves_doubt() -> None:
    """Only an answer to a later question clears it: one that was asked before says nothing."""
    board = FreeReplicas()
    board.update({"a": FREE}, 0)
    assert board.take() == "a"
    board.give_back("a", broke_off_at=5)
    assert board.take() is None
    board.update({"a": FREE}, 4)
    assert board.take() is None
    board.update({"a": BUSY}, 6)
    assert board.take() is None
    board.update({"a": FREE}, 7)
    assert board.take() == "a"


def test_a_worker_that_is_gone_is_forgotten() -> None:
    """It is no slot any more, and its return would be as another."""
    board = FreeReplicas()
    board.update({"a": FREE, "b": FREE}, 0)
    board.give_back("a", broke_off_at=1)
    board.update({"b": FREE}, 0.5)
    assert (board.slots().slots, board.take(), board.broken) == (1, "b", {})
