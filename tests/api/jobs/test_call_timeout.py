"""A caller whose time is up is told what the job waits for, whatever that is."""

import pytest

from api.jobs.call_timeout import WAIT_TEXTS
from broker.providers.pacing import Cause


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_of_waiting_has_words(cause):
    assert "acme" in WAIT_TEXTS[cause].format(provider="acme", model="acme/small")
