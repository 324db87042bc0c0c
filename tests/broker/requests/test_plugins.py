"""Plugins that Waybill lacks are refused by name, unless they are turned off."""

import pytest

from broker.errors import InvalidRequestError
from broker.requests import plugins


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        ({"plugins": [{"id": "web"}]}, "plugins.0.id", "searches no web"),
        ({"plugins": [{"id": "web-fetch"}]}, "plugins.0.id", "searches no web"),
        ({"plugins": [{"id": "auto-router"}, {"id": "fusion"}]}, "plugins.1.id", "file-parser"),
        ({"plugins": [{"id": ["web"]}]}, "plugins.0.id", "there is no plugin"),
        ({"tools": [{"type": "function"}, {"type": "openrouter:shell"}]}, "tools.1.type", "fun"),
    ],
)
def test_what_is_not_here(body, param, said):
    with pytest.raises(InvalidRequestError, match=said) as refusal:
        plugins.check(body)
    assert refusal.value.param == param


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"plugins": [{"id": each} for each in plugins.KNOWN], "tools": [{"type": "custom"}]},
        {"plugins": [{"id": "web", "enabled": False}]},
        {"plugins": None, "tools": None},
    ],
)
def test_what_is_here_or_off(body):
    plugins.check(body)
