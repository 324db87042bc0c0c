import re
from unittest import mock

from broker import ids


def at(ms):
    return mock.patch("time.time_ns", return_value=ms * 1_000_000)


def test_an_id_says_what_it_is_and_never_repeats():
    made = {ids.new_job_id() for _ in range(2_000)}
    assert len(made) == 2_000
    assert all(re.fullmatch(r"job_[0-9A-HJKMNP-TV-Z]{26}", each) for each in made)


def test_later_ids_sort_after_earlier_ones():
    made = []
    for ms in (0, 1, 999, 1_000, 1_700_000_000_000, 1_700_000_000_001, 2**48 - 1):
        with at(ms):
            made.append(ids.new_id("x_"))
    assert made == sorted(made)


def test_the_body_is_a_ulid():
    # the specification's own example: 01ARZ3NDEKTSV4RRFFQ69G5FAV was made at this millisecond
    with at(1_469_922_850_259), mock.patch("os.urandom", return_value=b"\0" * 10):
        assert ids.new_id("") == "01ARZ3NDEK" + "0" * 16


def test_a_generations_id_is_known_before_its_job_has_run():
    job_id = ids.new_job_id()
    assert ids.generation_id(job_id) == f"gen-{job_id[4:]}"
