"""A link to our sign-in page that leads on to another host."""

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.pages.page import local_path
from tests.api.conftest import ORIGIN

SPELLINGS = [
    "//evil.example", "///evil.example", "////evil.example", "/\\evil.example", "\\\\evil.example",
    "/\t/evil.example", "/\n/evil.example", "\t//evil.example", " //evil.example",
    "/%09/evil.example", "/%2f/evil.example", "/%5cevil.example", "/%2e//evil.example",
    "/.//evil.example", "/..//evil.example", "/account/..//evil.example", "/account//evil.example",
    "http://evil.example", "https:evil.example", "https:/evil.example", "javascript:alert(1)",
    "data:text/html,x", "evil.example", "@evil.example", "/@evil.example",
    "//waybill.test@evil.example", "http://waybill.test@evil.example", "http://waybill.test.evil",
    "/\uff0fevil.example", "/\u2044evil.example", "/\u3002evil", "/\x00/evil.example",
    "/account#//evil.example", "/account\r\nSet-Cookie: a=b", "/account\\..\\evil",
]  # fmt: skip
ONWARD = ["/account", "/docs", "/auth?callback_url=https%3A%2F%2Fapp.example%2Fdone&limit=5"]


@pytest.mark.parametrize("wanted", SPELLINGS)
async def test_no_spelling_leads_elsewhere(api, wanted):
    assert local_path(wanted) == "/dashboard"
    shown = await api.http.get("/sign-in", params={"next": wanted})
    assert "evil" not in shown.text


@pytest.mark.parametrize("wanted", ONWARD)
def test_our_own_pages_are_reached(wanted):
    assert local_path(wanted) == wanted


@given(st.text(st.sampled_from("/\\\t\n\r .:@%#?25fFeEca\u2044\uff0f"), max_size=12))
def test_whatever_is_wanted_stays_on_this_host(text):
    onward = local_path("/" + text)
    # browsers drop tabs and line ends, and read a backslash as a slash
    read = "".join(each for each in onward if each not in "\t\r\n").replace("\\", "/")
    assert not read.startswith("//")
    assert urlsplit(urljoin(ORIGIN, read)).netloc == urlsplit(ORIGIN).netloc
    assert "//" not in read.partition("?")[0]
