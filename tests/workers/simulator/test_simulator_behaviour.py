import pytest

from workers.simulator.behaviour import LISTED, Behaviour, Fault, Style, UnknownModelError, parse


@pytest.mark.parametrize(
    ("model", "behaviour"),
    [
        ("sim", Behaviour()),
        ("sim-echo", Behaviour(style=Style.ECHO)),
        ("sim-lat250", Behaviour(latency_ms=250)),
        ("sim-tok50-chunk20", Behaviour(tokens=50, chunk_ms=20)),
        ("sim-chunk20-tok50", Behaviour(tokens=50, chunk_ms=20)),
        ("sim-tools", Behaviour(tool_calls=1)),
        ("sim-tools2", Behaviour(tool_calls=2)),
        ("sim-reason-nousage", Behaviour(reasoning=True, usage=False)),
        ("sim-429-retry3", Behaviour(fault=Fault.RATE_LIMITED, retry_after=3)),
        ("sim-flaky30", Behaviour(flaky_percent=30)),
        ("sim-fail2-story", Behaviour(fail_first=2, style=Style.STORY)),
    ],
)
def test_a_name_says_the_behaviour(model, behaviour):
    assert parse(model) == behaviour


def test_options_come_in_any_order():
    assert parse("sim-cut-lat5-echo") == parse("sim-echo-cut-lat5")


@pytest.mark.parametrize("model", LISTED)
def test_every_listed_name_is_understood(model):
    assert (parse(model) == Behaviour()) == (model == "sim")


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_has_a_name(fault):
    assert parse(f"sim-{fault}").fault is fault


@pytest.mark.parametrize(
    "model",
    [
        "",
        "gpt-4o",
        "simple",
        "sim-",
        "sim-bogus",
        "sim-tok",
        "sim-lat-5",
        "sim-tok9999999",
        "sim-Echo",
    ],
)
def test_an_unknown_name_is_refused(model):
    with pytest.raises(UnknownModelError, match="does not exist"):
        parse(model)


@pytest.mark.parametrize("model", ["sim-echo-story", "sim-429-500", "sim-lat1-lat2"])
def test_a_contradiction_is_refused(model):
    with pytest.raises(UnknownModelError, match="twice"):
        parse(model)
