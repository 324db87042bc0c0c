"""Record endpoint stats as workers do, and read them as an observer does."""

from broker.providers.endpoint_stats import PauseReason
from broker.providers.health import Observer, Recorder, Verdict
from broker.providers.pacing import Throttles, exchange_pauses


async def told(redis, clock, *attempts, reporter="worker-1"):
    """Count these attempts, and share the pauses that their answers asked for."""
    recorder, throttles = Recorder(redis, reporter, clock), Throttles()
    for each in attempts:
        recorder.record(each)
        if each.retry_after_ms:
            wait = each.retry_after_ms / 1000
            if each.verdict is Verdict.LIMITED:
                throttles.record_rate_limit(each.endpoint, wait, clock.now)
            else:
                throttles.add_pause(each.endpoint, wait, clock.now, PauseReason.RETRY_AFTER)
    recorder.start()
    await recorder.close()
    if news := throttles.take_new_pauses():
        await exchange_pauses(redis, news, clock.now)


async def look(redis, clock, **options):
    observer = Observer(redis, clock=clock, **options)
    await observer.refresh()
    return observer
