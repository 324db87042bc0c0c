import pytest

from broker import queues
from broker.queues import Lane


def test_a_queue_per_provider_and_lane():
    assert queues.queue_names(["openai", "z-ai"]) == [
        "openai.interactive",
        "openai.batch",
        "z-ai.interactive",
        "z-ai.batch",
    ]


@pytest.mark.parametrize("provider", ["openai", "z-ai", "my.own"])
@pytest.mark.parametrize("lane", Lane)
def test_a_queues_name_leads_back_to_provider_and_lane(provider, lane):
    assert queues.split_queue_name(queues.queue_name(provider, lane)) == (provider, lane)


def test_redis_hands_no_message_out_again_while_its_attempt_may_still_run():
    from tests.factories import SETTINGS

    assert SETTINGS.total_timeout_seconds < queues.VISIBILITY_TIMEOUT_SECONDS
    assert queues.TRANSPORT_OPTIONS["visibility_timeout"] == queues.VISIBILITY_TIMEOUT_SECONDS


def test_one_priority_step_so_that_a_queue_is_one_list():
    assert queues.TRANSPORT_OPTIONS["priority_steps"] == [0]
