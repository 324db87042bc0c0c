"""OCR by a provider: who may read, at which price, and what is held."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.accounts import Principal
from broker.catalog import Catalog
from broker.catalog.models import Model
from broker.errors import InvalidRequestError
from broker.pricing import Price
from broker.providers.configuration import Provider
from broker.providers.endpoints import DataPolicy, Endpoint
from broker.requests.operations import Operation
from broker.routing import OcrOffer, Plan, PlanStep
from broker.settings import Settings
from broker.submission.ocr_offers import find_ocr_offer
from broker.submission.quotes import compute_quotes

MODEL = "mistralai/mistral-ocr-latest"
PAGE = 4_000_000
PDF = {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0="}}


def provider(slug, wire="mistral"):
    return Provider(
        slug=slug, name=slug, wire=wire, base_url="https://example.com/v1", api_key="any"
    )


def endpoint(slug, page=PAGE, **policy):
    return Endpoint(
        slug, MODEL, "mistral-ocr-latest", Price(page=page), data_policy=DataPolicy(**policy)
    )


def body(engine="mistral-ocr", parts=(PDF,), max_pages=None, **more):
    pdf = {"engine": engine} | ({"max_pages": max_pages} if max_pages else {})
    message = {"role": "user", "content": list(parts)}
    return {"messages": [message], "plugins": [{"id": "file-parser", "pdf": pdf}]} | more


def offer(asked, *endpoints, settings=None, **principal):
    providers = {each.provider: provider(each.provider) for each in endpoints}
    providers["openai"] = provider("openai", "openai")
    catalog = Catalog([Model(MODEL, MODEL, endpoints=tuple(endpoints))], providers)
    return find_ocr_offer(
        asked,
        Principal("ws_1", "key_1", unlimited=True, **principal),
        catalog,
        settings or Settings.model_construct(),
    )


@pytest.mark.parametrize(
    "asked",
    [body("local-ocr"), body("native"), body(parts=[{"type": "text", "text": "no document"}])],
)
def test_other_requests_need_no_offer(asked):
    assert offer(asked) is None


def test_the_cheapest_provider_reads():
    dear, cheap = endpoint("dear", 5_000_000), endpoint("cheap")
    assert offer(body(), dear, cheap) == OcrOffer("cheap", "mistral-ocr-latest", PAGE, 100)


def test_without_a_provider_the_error_names_what_to_do():
    with pytest.raises(InvalidRequestError, match="MISTRAL_API_KEY, or choose local-ocr"):
        offer(body())
    with pytest.raises(InvalidRequestError, match="MISTRAL_API_KEY"):
        offer(body(), endpoint("openai"))  # its wire has no such API


def test_data_policies_hold_for_ocr_too():
    private, open_ = endpoint("private", 9_000_000, zdr=True, trains=False), endpoint("open")
    zdr = body(provider={"zdr": True})
    assert offer(zdr, private, open_).provider == "private"
    assert offer(body(provider={"data_collection": "deny"}), private, open_).provider == "private"
    with pytest.raises(InvalidRequestError, match="data policy"):
        offer(zdr, open_)


def test_a_key_that_may_not_use_the_provider_is_refused():
    with pytest.raises(InvalidRequestError, match="this key may use none"):
        offer(body(), endpoint("mistral"), allowed_providers=frozenset({"openai"}))


@given(
    documents=st.integers(1, 5),
    max_pages=st.none() | st.integers(1, 300),
    most=st.integers(1, 200),
    page=st.integers(0, 10**9),
)
def test_the_hold_covers_every_page_that_may_be_read(documents, max_pages, most, page):
    asked = body(parts=[PDF] * documents, max_pages=max_pages)
    settings = Settings.model_construct(max_scanned_pages=most)
    found = offer(asked, endpoint("mistral", page), settings=settings)
    assert found.max_pages == min(most, documents * (max_pages or most))
    step = PlanStep(Endpoint("p", "m", "n", price=Price(prompt=1)), "only one")

    def quote(plan):
        return compute_quotes(asked, Operation.CHAT, plan, likely=10, most=10)

    plain, held = quote(Plan([step])), quote(Plan([step], ocr=found))
    assert held.nanos[0] - plain.nanos[0] == page * found.max_pages
    assert 0 <= held.least[0] - plain.least[0] <= page * found.max_pages
