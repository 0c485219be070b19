"""What a platform finds again after a restart."""

from dataclasses import replace
from pathlib import Path

from bot.domain import Post
from bot.storage.store import Store
from tests.support.doubles import THREAD

OTHER = replace(THREAD, thread="other")


def test_posts_survive_a_restart(store: Store, tmp_path: Path) -> None:
    """Where a reply is shown, its messages in order, and what each of them shows."""
    store.posts.save_place("m1", "here")
    store.posts.save_post("m1", 1, Post("p2", 7), THREAD)
    store.posts.save_post("m1", 0, Post("p1"), THREAD)
    store.posts.set_mark("cursor", "41")
    store.posts.set_mark("cursor", "42")
    store.close()
    posts = Store(tmp_path / "test.sqlite").posts
    assert posts.reply_place("m1") == "here"
    assert posts.posts_of("m1") == [Post("p1"), Post("p2", 7)]
    assert posts.find_post("p2") == (THREAD, 7)
    assert posts.find_post("p1") == (THREAD, None)
    assert posts.posts_by_picture(THREAD) == {7: "p2"}
    assert posts.get_mark("cursor") == "42"


def test_what_was_never_posted_is_not_known(store: Store) -> None:
    """There is an answer to every question all the same."""
    assert store.posts.reply_place("m1") == store.posts.get_mark("cursor") == ""
    assert store.posts.posts_of("m1") == []
    assert store.posts.find_post("p1") is None
    assert store.posts.posts_by_picture(THREAD) == {}


def test_a_reply_stays_where_it_was_opened(store: Store) -> None:
    """A second delivery of its message cannot move it."""
    store.posts.save_place("m1", "here")
    store.posts.save_place("m1", "there")
    assert store.posts.reply_place("m1") == "here"


def test_a_message_of_a_reply_is_replaced_or_dropped(store: Store) -> None:
    """Each place in a reply has one message; the others are left alone."""
    for nth, post in enumerate(("p1", "p2", "p3")):
        store.posts.save_post("m1", nth, Post(post, nth + 1), THREAD)
    store.posts.save_post("m1", 1, Post("p4", 2), THREAD)
    store.posts.delete_post("m1", 0)
    assert store.posts.posts_of("m1") == [Post("p4", 2), Post("p3", 3)]
    assert store.posts.find_post("p1") is store.posts.find_post("p2") is None
    assert store.posts.posts_by_picture(THREAD) == {2: "p4", 3: "p3"}


def test_replies_and_threads_do_not_mix(store: Store) -> None:
    """What another reply posted, and what is shown in another thread, is its own."""
    store.posts.save_post("m1", 0, Post("p1", 1), THREAD)
    store.posts.save_post("m2", 0, Post("p2", 1), OTHER)
    store.posts.delete_post("m1", 5)
    assert store.posts.posts_of("m2") == [Post("p2", 1)]
    assert store.posts.posts_by_picture(THREAD) == {1: "p1"}
    assert store.posts.posts_by_picture(OTHER) == {1: "p2"}
