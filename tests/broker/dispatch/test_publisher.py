"""The sending side of the transport, where there is no transport."""

from structlog.testing import capture_logs

from broker.dispatch.publisher import Publisher
from tests.installation import until


def test_what_cannot_be_sent_is_tried_again_and_holds_up_no_end(tmp_path):
    # Given a transport that is not there
    publisher = Publisher(f"redis+socket://{tmp_path}/valkey.sock")
    with capture_logs() as said:
        publisher.publish("sim", "interactive", ["job_1"])
        # Then it is tried again and again
        until(lambda: len(said) >= 2, 4, "it is not tried a second time")
        # And the end need not wait for more than the try that is under way
        publisher.close()
    assert {each["event"] for each in said} == {"publisher.transport_down"}
    assert not publisher._thread.is_alive()
