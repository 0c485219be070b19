"""Which jobs run next: fairness, caps, urgency, batches, affinity, positions."""

from collections import Counter
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from bot.domain import Sampling
from render.queue.scheduler import (
    AGING,
    BatchKey,
    ConcurrencyLimits,
    QueuePosition,
    Schedule,
    ScheduledJob,
    Slot,
    SlotState,
)

ONE = Slot()
_ids = count()


def job(person: str, server: str = "s", cost: float = 1.0, since: float = 0.0, **more: object) -> ScheduledJob:
    """A job of somebody."""
    channel = str(more.pop("channel", f"{server}/c"))
    kind = more.pop("kind", BatchKey())
    assert isinstance(kind, BatchKey)
    urgent, alone = bool(more.pop("urgent", False)), bool(more.pop("alone", False))
    return ScheduledJob(f"{person}{next(_ids)}", server, channel, person, kind, cost, since, urgent, alone)


def line(*jobs: ScheduledJob, caps: ConcurrencyLimits | None = None) -> Schedule:
    """A line with these jobs."""
    schedule = Schedule(caps)
    for each in jobs:
        schedule.add(each)
    return schedule


def served(schedule: Schedule, slot: Slot = ONE, now: float = 1e6) -> list[str]:
    """The people of each batch until nothing is left, on one slot."""
    batches = []
    while batch := schedule.next_batch(slot, now):
        batches.append("".join(each.person for each in batch))
        schedule.mark_ended(batch)
    return batches


def served_ids(schedule: Schedule, slot: Slot, now: float) -> list[str]:
    """The jobs one by one until nothing is left."""
    order = []
    while batch := schedule.next_batch(slot, now):
        order += [each.id for each in batch]
        schedule.mark_ended(batch)
    return order


def test_people_take_turns_however_many_jobs_they_have() -> None:
    """Forty jobs of one person do not hold up the one job of another."""
    assert served(line(*(job("a") for _ in range(5)), job("b"), job("c"), job("c"))) == list("abcacaaa")


def test_a_turn_is_counted_by_cost() -> None:
    """Four cheap pictures weigh as much as one that is four times the work."""
    jobs = [job("a", cost=4.0) for _ in range(2)] + [job("b") for _ in range(6)]
    assert served(line(*jobs)) == list("abbbbabb")


def test_a_large_server_does_not_swamp_a_small_one() -> None:
    """Servers take turns first, the people of a server among themselves."""
    jobs = [job(person, "large") for person in "abcd"] + [job("z", "small") for _ in range(2)]
    assert served(line(*jobs)) == list("azbzcd")


def test_who_comes_late_waits_for_no_more_than_a_round() -> None:
    """A newcomer is served soon, and then in turn: having been away earns nothing."""
    schedule = line(*(job(person) for person in "ab" for _ in range(20)))
    for _ in range(10):
        batch = schedule.next_batch(ONE, 1e6)
        assert batch
        schedule.mark_ended(batch)
    for _ in range(3):
        schedule.add(job("n"))
    order = served(schedule)
    assert "n" in order[:3]
    assert order[:7].count("n") == 2


def test_what_is_given_back_does_not_count() -> None:
    """After a failure its owner is where he was."""
    schedule = line(job("a"), job("a"), job("b"))
    batch = schedule.next_batch(ONE, 1e6)
    assert batch
    schedule.mark_ended(batch)
    schedule.refund(batch[0])
    assert sorted(served(schedule)[:2]) == ["a", "b"]


def test_what_was_served_before_the_start_is_remembered() -> None:
    """An index that is built anew knows who had how much."""
    schedule = Schedule()
    for _ in range(3):
        schedule.charge_past("s", "a", 1.0)
    for each in (job("a"), job("b"), job("b"), job("c")):
        schedule.add(each)
    assert served(schedule) == list("bcba")


def test_no_more_run_at_once_than_the_caps_allow() -> None:
    """A capped person is passed over, a capped channel too, until one of theirs has ended."""
    schedule = line(
        job("a"), job("a"), job("b"), job("c", channel="s/other"), caps=ConcurrencyLimits(per_user=1, per_channel=2)
    )
    batches = [schedule.next_batch(ONE, 1e6) for _ in range(4)]
    running = [batch[0] for batch in batches if batch]
    assert [each.person for each in running] == ["a", "b", "c"]
    schedule.mark_ended(running[:1])
    assert served(schedule) == ["a"]


def test_an_edit_goes_before_new_pictures_but_not_always() -> None:
    """At most every second batch is led by an urgent job, and none passes a job that has waited for long."""
    urgent = [job("e", urgent=True) for _ in range(3)]
    assert served(line(*(job("a") for _ in range(3)), *urgent), now=1.0) == list("eaeaea")
    late = line(job("a", since=0.0), job("e", urgent=True, since=AGING))
    assert served(late, now=AGING + 1) == list("ae")


def test_a_batch_is_of_different_people_first() -> None:
    """Seats that are left over go to those who are in it already."""
    schedule = line(*(job("a") for _ in range(4)), job("b"), job("c"))
    assert served(schedule, Slot(capacity=4)) == ["abca", "aa"]


def test_only_jobs_of_one_kind_share_a_batch() -> None:
    """Another size, another number of steps: another batch. After a crash a job is alone."""
    large = BatchKey(Sampling(size=(1024, 1024)))
    schedule = line(job("a"), job("b", kind=large), job("c"), job("d", alone=True))
    assert served(schedule, Slot(capacity=8, default_megapixels=0.0655)) == ["ac", "b", "d"]


def test_large_pictures_take_more_seats() -> None:
    """A slot of four usual pictures holds one of four times the size."""
    slot = Slot(capacity=4, default_megapixels=0.25)
    assert [
        slot.capacity_for(BatchKey(Sampling(size=size)))
        for size in ((512, 512), (1024, 512), (1024, 1024), (2048, 2048))
    ] == [
        3,
        1,
        1,
        1,
    ]
    assert slot.capacity_for(BatchKey()) == 4


def test_a_batch_waits_for_no_company() -> None:
    """A fresh job goes at once, though there are free seats beside it; what is there by then goes along."""
    schedule = line(job("a", since=10.0))
    assert served(schedule, Slot(capacity=2), 10.0) == ["a"]
    assert served(line(job("a", since=10.0), job("b", since=10.0)), Slot(capacity=2), 10.0) == ["ab"]
    assert schedule.next_batch(Slot(capacity=2), 10.0) == ()


def test_a_slot_keeps_its_model_while_nobody_waits_too_long_for_another() -> None:
    """Of the fairest person's next jobs the warm one runs; a cold one is due after about one load time."""
    slot = Slot("m", frozenset({"m", "n"}), load_time=30.0)
    cold, warm = BatchKey(Sampling(model="n")), BatchKey(Sampling(model="m"))
    jobs = [job("a", kind=cold), job("a", kind=warm), job("b", kind=warm)]
    assert served_ids(line(*jobs), slot, 10.0) == [jobs[1].id, jobs[2].id, jobs[0].id]
    assert served_ids(line(*jobs), slot, 31.0) == [jobs[0].id, jobs[2].id, jobs[1].id]
    assert served(line(job("a", kind=BatchKey(Sampling(model="x")))), slot) == []


def test_places_are_those_of_the_policy() -> None:
    """Position and time come from letting the policy run on, and change nothing."""
    jobs = [job("a", since=95.0), job("a", since=95.0), job("b", since=95.0), job("c", since=95.0, urgent=True)]
    schedule = line(*jobs)
    running = job("z")
    places = schedule.forecast([SlotState(ONE, 2.0, (running,))], 100.0, 0.5)
    ahead = {each.id: places[each.id] for each in jobs}
    assert [ahead[each.id] for each in jobs] == [
        QueuePosition(2, 3.0),
        QueuePosition(4, 4.0),
        QueuePosition(3, 3.5),
        QueuePosition(1, 2.5),
    ]
    assert schedule.forecast([SlotState(ONE)], 100.0, None)[jobs[3].id] == QueuePosition(0, None)
    assert served(schedule, now=100.0) == list("caba")


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("st"), st.booleans()), max_size=30), st.data())
def test_a_forecast_changes_nothing_and_comes_true(jobs: list[tuple[str, str, bool]], data: st.DataObject) -> None:
    """For any line: nothing is lost, and one slot serves it in the order that was foretold."""
    schedule = line(*(job(person, server, urgent=urgent) for person, server, urgent in jobs))
    slot = Slot(capacity=data.draw(st.integers(1, 4)))
    places = schedule.forecast([SlotState(slot)], 10.0, 1.0)
    order: list[str] = []
    while batch := schedule.next_batch(slot, 10.0 + len(order)):
        order += [each.id for each in batch]
        schedule.mark_ended(batch)
    assert sorted(places, key=lambda each: places[each].ahead or 0) == order
    assert len(order) == len(jobs)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60))
def test_nobody_is_ever_far_behind(jobs: list[str]) -> None:
    """While somebody waits, others of the server get no more than one turn more than that person."""
    schedule, left, had = line(*map(job, jobs)), Counter(jobs), Counter[str]()
    for person in served(schedule):
        had[person] += 1
        left[person] -= 1
        behind = [had[other] for other in left if left[other] > 0]
        assert not behind or had[person] <= min(behind) + 1
