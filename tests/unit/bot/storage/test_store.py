"""What is remembered."""

from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain import (
    Action,
    Button,
    Failed,
    ImageRequest,
    Message,
    Operation,
    PicturePart,
    Rendered,
    Sampling,
    TextPart,
    ThreadKey,
    View,
)
from bot.storage.store import Store
from tests.support.doubles import ANN, THREAD, claimed, message, picture

SUN = ImageRequest(0, Operation.GENERATE, "a sun")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with one message."""
    store = Store(tmp_path / "test.sqlite")
    assert store.accept(message("m1", "draw a sun"))
    return store


def test_a_message_is_accepted_once(store: Store) -> None:
    """The same id a second time is known, whatever it brings."""
    assert not store.accept(message("m1", "something else"))
    assert [entry.text for entry in store.entries(THREAD)] == ["draw a sun"]


def test_a_view_comes_back_as_it_was(store: Store) -> None:
    """Every kind of part and button survives the database."""
    made = replace(
        picture(1),
        request=replace(
            picture(1).request,
            operation=Operation.EDIT,
            source=7,
            sampling=replace(picture(1).request.sampling, seed=None),
        ),
    )
    parts = (
        TextPart("**hi**"),
        PicturePart(0, 1, Operation.EDIT, "p", Rendered(made), 7),
        PicturePart(1, 2, Operation.GENERATE, "q", Failed("No.")),
    )
    view = View(parts, "status", (Button(Action.RETRY, "Retry", "m1"),), final=True)
    store.finish("m1", view)
    entry = store.entry("m1")
    assert entry and entry.view == view
    assert not store.open_entries()


def test_an_order_is_recorded_before_it_runs_and_found_again(store: Store) -> None:
    """The same request of the same reply is the same job, with the same number and seed."""
    job = store.jobs.order("m1", SUN, None)
    assert (job.number, job.request.prompt, job.owner) == (1, "a sun", "ann")
    assert store.jobs.order("m1", SUN, None) == job
    assert store.jobs.order("m1", ImageRequest(1, Operation.GENERATE, "a moon"), None).number == 2


def test_a_different_request_in_the_same_place_is_a_new_job(store: Store) -> None:
    """After a restart the model may ask for something else; the old picture is not shown for it."""
    job = store.jobs.order("m1", SUN, None)
    assert store.jobs.mark_rendered(claimed(store, job), picture(1))
    other = store.jobs.order("m1", replace(SUN, prompt="a moon"), None)
    assert other.number == 2
    assert store.jobs.outcome(other) is None


def test_only_the_newest_attempt_counts(store: Store) -> None:
    """A late result of an attempt that was given up changes nothing."""
    job = store.jobs.order("m1", SUN, None)
    late = claimed(store, job)
    store.jobs.release(late, blamed=True)
    current = claimed(store, job)
    assert not store.jobs.mark_rendered(late, picture(1))
    store.jobs.fail(late, "late")
    assert store.jobs.mark_rendered(current, picture(1))
    assert not store.jobs.mark_rendered(current, picture(1))
    assert isinstance(store.jobs.outcome(job), Rendered)
    assert len(store.pictures(THREAD)) == 1


def test_only_faults_that_may_be_the_jobs_own_are_counted(store: Store) -> None:
    """A refused connection is not an attempt."""
    job = store.jobs.order("m1", SUN, None)
    assert [store.jobs.release(claimed(store, job), blamed) for blamed in (False, True, False, True)] == [0, 1, 1, 2]


def test_cancelled_and_dead_jobs_run_again_after_retry(store: Store) -> None:
    """Reopening a reply puts what did not succeed back into the line, and nothing else."""
    sun = store.jobs.order("m1", SUN, None)
    moon = store.jobs.order("m1", ImageRequest(1, Operation.GENERATE, "a moon"), None)
    assert store.jobs.mark_rendered(claimed(store, sun), picture(1))
    store.jobs.cancel_all("m1", "Stopped by Ann.")
    assert store.jobs.outcome(moon) == Failed("Stopped by Ann.")
    store.reopen("m1")
    assert store.jobs.outcome(moon) is None
    assert isinstance(store.jobs.outcome(sun), Rendered)


def test_an_edit_keeps_the_seed_of_its_picture(store: Store) -> None:
    """What need not change stays; a variation gets a seed of its own."""
    store.jobs.mark_rendered(
        claimed(store, store.jobs.order("m1", SUN, None)),
        replace(
            picture(1), request=replace(picture(1).request, sampling=replace(picture(1).request.sampling, seed=42))
        ),
    )
    assert (
        store.jobs.order("m1", ImageRequest(1, Operation.EDIT, "a blue sun", source=1), 1).request.sampling.seed == 42
    )
    assert store.jobs.order("m1", ImageRequest(2, Operation.VARY, "", source=1), 1).request.sampling.seed != 42


def test_uploads_are_numbered_with_the_other_pictures(store: Store) -> None:
    """An upload is picture #n of its thread, and belongs to its message."""
    store.jobs.order("m1", SUN, None)
    store.accept(message("m2", "look"), [picture(0), picture(0)])
    entry = store.entry("m2")
    assert entry and [upload.number for upload in entry.uploads] == [2, 3]


def test_a_message_is_accepted_together_with_its_pictures(store: Store) -> None:
    """Uploads and requests have their numbers, and the reply that is made later finds its jobs again."""
    moon = ImageRequest(1, Operation.GENERATE, "a moon")
    assert store.accept(message("m2", "look"), [picture(0)], raw_answer="", requests=[SUN, moon])
    rows = store.jobs.find(["m2.0", "m2.1"])
    assert [(row.number, row.request.prompt, row.state) for row in rows] == [
        (2, "a sun", "queued"),
        (3, "a moon", "queued"),
    ]
    assert store.jobs.order("m2", moon, None).number == 3
    assert not store.accept(message("m2", "look"), requests=[SUN])


def test_a_picture_is_posted_when_its_reply_is_final(store: Store) -> None:
    """That is the last state of a job; its outcome is still the picture."""
    job = store.jobs.order("m1", SUN, None)
    store.jobs.mark_rendered(claimed(store, job), picture(1))
    store.finish("m1", View(final=True))
    assert [row.state for row in store.jobs.find([job.id])] == ["posted"]
    assert isinstance(store.jobs.outcome(job), Rendered)


def test_numbers_count_within_a_thread(store: Store) -> None:
    """Another thread starts at 1, and does not see this one's pictures."""
    other = ThreadKey("test", "space", "channel", "other")
    store.jobs.mark_rendered(claimed(store, store.jobs.order("m1", SUN, None)), picture(1))
    store.accept(Message("m2", other, ANN, "hi"))
    assert store.jobs.order("m2", SUN, None).number == 1
    assert store.pictures(other) == []


def test_what_was_written_is_there_after_a_new_start(store: Store, tmp_path: Path) -> None:
    """A second look at the file, without a proper end of the first, shows everything."""
    store.save_answer("m1", "words", is_complete=True)
    again = Store(tmp_path / "test.sqlite")
    assert again.finished_answer("m1") == "words"
    assert [entry.id for entry in again.open_entries()] == ["m1"]
    assert [summary.title for summary in again.threads("test")] == ["draw a sun"]


def test_a_request_is_recorded_whole(store: Store) -> None:
    """Change, ratio and refined prompt come back with the job; another change is another job."""
    request = ImageRequest(
        0, Operation.EDIT, "a red sun", source=1, change="small", sampling=Sampling(aspect_ratio="3:2")
    )
    job = store.jobs.order("m1", request, None)
    store.jobs.refine(job, "a red sun over the sea")
    again = store.jobs.order("m1", request, None)
    assert (again.request.change, again.request.sampling.aspect_ratio, again.refined_prompt) == (
        "small",
        "3:2",
        "a red sun over the sea",
    )
    other = store.jobs.order("m1", replace(request, change="large"), None)
    assert (other.number, other.refined_prompt) == (job.number + 1, "")
