"""Fair turns, in properties (the pure part of the dispatcher's choice)."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from broker.dispatch.fair_queue import FairTurns, Flow
from broker.queues import batch_of, build_flow_name


class Backlog:
    """A line's jobs, all known."""

    def __init__(self, jobs):
        self.jobs = list(jobs)

    def next(self):
        return self.jobs.pop(0) if self.jobs else None


def lines(**backlogs):
    """Lines of (workspace, batch, priority, number) jobs, from `ws_batch_priority=count`."""
    made = []
    for name, count in backlogs.items():
        workspace, batch, priority = name.split("_")
        key = build_flow_name(workspace, batch, int(priority))
        jobs = [(workspace, batch, int(priority), number) for number in range(count)]
        made.append(Flow(key, Backlog(jobs)))
    return made


def by_workspace(chosen):
    return Counter(workspace for workspace, *_ in chosen)


def test_a_deep_backlog_takes_half_of_the_turns_while_another_waits():
    # Given 50,000 lines of one workspace and 100 of another
    chosen = FairTurns().choose(lines(a_x_0=50_000, b_y_0=100), {}, 200)
    # Then the second's are done after twice as many turns
    assert by_workspace(chosen) == {"a": 100, "b": 100}


def test_many_batches_of_one_workspace_get_no_more_than_one_batch_of_another():
    chosen = FairTurns().choose(lines(a_x_0=50, a_y_0=50, a_z_0=50, b_q_0=50), {}, 40)
    assert by_workspace(chosen) == {"a": 20, "b": 20}
    assert Counter(batch for _, batch, *_ in chosen) == {"x": 7, "y": 7, "z": 6, "q": 20}


def test_a_weight_of_three_gets_three_turns():
    chosen = FairTurns().choose(lines(a_x_0=100, b_y_0=100), {"a": 3, "b": 1}, 80)
    assert by_workspace(chosen) == {"a": 60, "b": 20}


def test_higher_priority_goes_first_within_a_workspace_only():
    chosen = FairTurns().choose(lines(a_x_0=50, a_y_9=5, b_z_0=50), {}, 20)
    assert by_workspace(chosen) == {"a": 10, "b": 10}
    assert [job for job in chosen if job[0] == "a"][:5] == [("a", "y", 9, n) for n in range(5)]


def test_priorities_may_be_negative():
    assert FairTurns().choose(lines(**{"a_x_0": 1, "a_y_-5": 1}), {}, 1) == [("a", "x", 0, 0)]


def test_turns_are_remembered_from_look_to_look():
    turns = FairTurns()
    backlog = lines(a_x_0=100, b_y_0=100, c_z_0=100)
    looks = [turns.choose(backlog, {}, 1) for _ in range(30)]
    assert by_workspace([job for look in looks for job in look]) == {"a": 10, "b": 10, "c": 10}


def test_who_idled_does_not_catch_up():
    # Given a workspace that was served a hundred times while another had nothing
    turns = FairTurns()
    turns.choose(lines(a_x_0=100), {}, 100)
    # When the other comes
    chosen = turns.choose(lines(a_x_0=100, b_y_0=100), {}, 20)
    # Then they share
    assert by_workspace(chosen) == {"a": 10, "b": 10}


def test_what_waits_no_longer_is_forgotten():
    turns = FairTurns()
    for number in range(1_000):
        turns.choose(lines(**{f"w{number}_x_0": 1}), {}, 1)
    assert len(turns.served) <= 1
    assert len(turns.turn) <= 1


def test_a_line_tells_its_batch():
    assert batch_of(build_flow_name("ws_1", "batch_2", 3)) == "batch_2"
    assert batch_of(build_flow_name("ws_1", None, 3)) is None


BACKLOGS = st.dictionaries(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz"), st.integers(-1, 2)),
    st.integers(1, 30),
    min_size=1,
    max_size=8,
)


@given(BACKLOGS, st.integers(0, 60), st.dictionaries(st.sampled_from("abcd"), st.integers(1, 5)))
def test_room_is_used_up_and_nothing_is_taken_twice_or_out_of_order(backlogs, room, weights):
    named = {f"{w}_{b}_{p}": count for (w, b, p), count in backlogs.items()}
    chosen = FairTurns().choose(lines(**named), weights, room)
    assert len(chosen) == min(room, sum(backlogs.values()))
    assert len(set(chosen)) == len(chosen)
    for line in {job[:3] for job in chosen}:
        numbers = [job[3] for job in chosen if job[:3] == line]
        assert numbers == list(range(len(numbers)))


@given(
    st.dictionaries(st.sampled_from("abcde"), st.integers(1, 4), min_size=2),
    st.lists(st.integers(1, 9), min_size=1, max_size=20),
)
def test_nobody_falls_behind_his_weight_by_more_than_a_turn(weights, looks):
    # Given workspaces that always have work
    turns = FairTurns()
    backlog = lines(**{f"{workspace}_x_0": 1_000 for workspace in weights})
    # When the dispatcher looks again and again with whatever room there is
    served = by_workspace([job for room in looks for job in turns.choose(backlog, weights, room)])
    # Then what each got, by its weight, is never more than one turn apart
    shares = [served[workspace] / weight for workspace, weight in weights.items()]
    assert max(shares) - min(shares) <= 1 + 1e-9
