from broker.providers.pacing import Busy, Cause
from broker.routing import Plan, PlanStep
from broker.routing.waiting import Congestion, choose_step
from tests.factories import make_endpoint

NOW = 1_800_000_000_000
THREE = Plan([PlanStep(make_endpoint(slug), "") for slug in ("alpha", "beta", "gamma")])
SMALL = "acme/small"


def busy(**waits):
    """Congestion: milliseconds to wait by provider."""
    return Congestion(
        {slug: Busy(slug, Cause.CONCURRENCY, NOW + wait) for slug, wait in waits.items()}
    )


def place(congestion, position=0, **more):
    found = choose_step(THREE, position, congestion, NOW, **more)
    return found.position, found.at - NOW


def test_a_job_moves_to_the_first_endpoint_that_is_free():
    assert place(busy(alpha=5_000, beta=3_000)) == (2, 0)


def test_a_job_waits_where_it_is_when_that_is_as_soon():
    assert place(busy(alpha=200)) == (0, 200)
    assert place(busy(alpha=900, beta=1_000, gamma=2_000)) == (0, 900)


def test_a_job_waits_elsewhere_when_that_is_clearly_sooner():
    assert place(busy(alpha=9_000, beta=4_000, gamma=2_000)) == (2, 2_000)


def test_a_job_may_come_back_to_an_endpoint_it_had_left():
    assert place(busy(beta=4_000, gamma=9_000), position=1) == (0, 0)


def test_an_endpoint_that_let_the_job_down_is_no_choice():
    assert place(busy(beta=4_000, gamma=9_000), position=1, closed={0}) == (1, 4_000)


def test_without_fallbacks_a_job_waits():
    alone = Plan(THREE.steps[:1])
    assert choose_step(alone, 0, busy(alpha=60_000), NOW).at == NOW + 60_000


def test_a_pause_of_one_model_leaves_its_provider_open():
    paused = Congestion(
        endpoints={("alpha", SMALL): Busy("alpha", Cause.PROVIDER_PAUSE, NOW + 5_000, SMALL)}
    )
    assert place(paused) == (1, 0)
    assert paused.find_busy("alpha", "acme/large", NOW) is None
