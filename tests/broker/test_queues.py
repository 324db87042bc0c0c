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
