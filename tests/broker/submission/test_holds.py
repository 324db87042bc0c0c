"""Nothing is admitted that its purse does not cover, whatever a model is priced by.

Bodies, prices and bills are made up. A bill is anything that a vendor could send for the body:
as many tokens as the text has bytes, in any mixture of kinds, the longest answer that was asked
for, every piece that was sent.
"""

import base64
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker import pricing
from broker.billing.budgets import BudgetLimit
from broker.billing.funds import FundsCheck, HoldRequest, Payer
from broker.billing.ledger import LedgerTotals
from broker.completion import CompletionRequest, Document, Usage
from broker.enums import BudgetScope
from broker.errors import WaybillError
from broker.pricing import PictureRate, Price, Tier
from broker.providers.endpoints import Endpoint
from broker.requests.operations import PICTURES, WITHOUT_OUTPUT, Operation
from broker.routing import Plan, PlanStep
from broker.submission.quotes import compute_quotes
from broker.usage import Reset
from workers.attempt.usage_counts import find_picture_kind

MOST = 4_000  # output tokens that the endpoint gives
RATE = st.integers(0, 10**11)
OWN = st.none() | RATE
FLAT = st.builds(
    Price,
    prompt=RATE, completion=RATE, cache_read=OWN, cache_write=OWN, cache_write_1h=OWN,
    reasoning=OWN, audio=OWN, audio_output=OWN, image_token=OWN, image_output_token=OWN,
    request=RATE, image=RATE, image_output=RATE, characters=RATE, audio_hour=RATE, page=RATE,
    web_search=OWN, flex_percent=st.integers(0, 300), priority_percent=st.integers(0, 300),
)  # fmt: skip
KIND = st.sampled_from(["low", "high", "1024x1024", "auto", None])
PICTURED = st.builds(
    replace,
    FLAT,
    pictures=st.lists(st.builds(PictureRate, KIND, KIND, RATE), max_size=4).map(tuple),
)
PRICES = PICTURED | st.builds(
    lambda first, size, long: Price(
        **{**{name: getattr(first, name) for name in pricing.Price.__slots__},
           "tiers": (Tier(size, long),)}
    ),
    PICTURED, st.integers(1, 2_000), FLAT,
)  # fmt: skip
TEXT = st.text(max_size=300)
SOUND = st.binary(max_size=2_000).map(lambda data: base64.b64encode(data).decode())
JSON = st.recursive(
    TEXT | st.integers(-(10**9), 10**9) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
TOOLS = st.lists(
    st.builds(
        lambda name, schema: {"type": "function",
                              "function": {"name": name, "parameters": schema}},
        TEXT, st.dictionaries(TEXT, JSON, max_size=3),
    )
    | st.builds(lambda uses: {"type": "web_search_20250305", "max_uses": uses}, st.integers(0, 6)),
    max_size=2,
)  # fmt: skip
PARTS = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, TEXT),
    st.just({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}),
    st.builds(lambda data: {"type": "input_audio", "input_audio": {"data": data}}, SOUND),
    st.builds(
        lambda text: {"type": "file", "file": {"file_data": f"data:text/plain,{text}"}}, TEXT
    ),
)
CALLS = st.builds(
    lambda name, arguments: [{"id": "1", "function": {"name": name, "arguments": arguments}}],
    TEXT, TEXT,
)  # fmt: skip
MESSAGES = st.lists(
    st.one_of(
        st.builds(lambda content: {"role": "user", "content": content}, TEXT | st.lists(PARTS)),
        st.builds(lambda calls: {"role": "assistant", "tool_calls": calls}, CALLS),
        st.builds(lambda content: {"role": "tool", "content": content}, TEXT),
    ),
    max_size=4,
)
MODERATED = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, TEXT),
    st.just({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}),
)
REFERENCE = st.sampled_from(
    [
        {"image_url": "data:image/png;base64,iVBORw0KGgo="},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    ]
)
REFERENCES = st.lists(REFERENCE, min_size=1, max_size=16)
LIMITS = {
    "max_tokens": st.integers(1, MOST),
    "max_completion_tokens": st.integers(1, MOST),
    "n": st.integers(1, 4),
    "service_tier": st.sampled_from(["auto", "default", "flex", "priority", "fast"]),
}
BODIES = {
    Operation.CHAT: st.fixed_dictionaries(
        {"messages": MESSAGES}, optional=LIMITS | {"tools": TOOLS, "response_format": JSON}
    ),
    Operation.COMPLETIONS: st.fixed_dictionaries(
        {"prompt": TEXT | st.lists(TEXT, min_size=1, max_size=3)},
        optional=LIMITS | {"best_of": st.integers(1, 5)},
    ),
    Operation.EMBEDDINGS: st.fixed_dictionaries(
        {"input": TEXT | st.lists(st.integers(0, 9), min_size=1) | st.lists(TEXT, min_size=1)}
    ),
    Operation.RERANK: st.fixed_dictionaries(
        {"query": TEXT, "documents": st.lists(TEXT, min_size=1, max_size=250)}
    ),
    Operation.MODERATIONS: st.fixed_dictionaries(
        {"input": TEXT | st.lists(TEXT, min_size=1) | st.lists(MODERATED, min_size=1)}
    ),
    Operation.IMAGES: st.fixed_dictionaries(
        {"prompt": TEXT},
        optional={
            "n": st.integers(1, 4),
            "input_references": REFERENCES,
            "quality": KIND | st.sampled_from(["xhigh", "max"]),
            "size": KIND | st.sampled_from(["3840x2160", "2K", "4K"]),
            "partial_images": st.integers(0, 3),
        },
    ),
    Operation.IMAGE_EDITS: st.fixed_dictionaries(
        {"prompt": TEXT, "images": REFERENCES},
        optional={"n": st.integers(1, 4), "mask": REFERENCE},
    ),
    Operation.IMAGE_VARIATIONS: st.fixed_dictionaries(
        {"images": REFERENCES}, optional={"n": st.integers(1, 4)}
    ),
    Operation.SPEECH: st.fixed_dictionaries({"input": TEXT}),
    Operation.TRANSCRIPTIONS: st.fixed_dictionaries(
        {"input_audio": st.builds(lambda data: {"data": data, "format": "mp3"}, SOUND)}
    ),
}
ASKED = st.sampled_from(list(Operation)).flatmap(
    lambda operation: st.tuples(st.just(operation), BODIES[operation])
)


READ = ("messages", "tools", "response_format", "prompt", "query", "documents", "input")


def strings(value):
    """Yield every text that a value holds."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)


def parts_of(body, kind):
    contents = [message.get("content") for message in body.get("messages", ())]
    held = [part for content in contents if isinstance(content, list) for part in content]
    return [part for part in held if part["type"] == kind]


AREAS = {"3840x2160": 3840 * 2160, "2K": 2048**2, "4K": 4096**2}
QUALITIES = {"xhigh": 2, "max": 4}


def most_drawn(body):
    """Return the most tokens of a picture: in proportion to its area, more at a finer quality."""
    area = max(AREAS.get(body.get("size"), 0) / (1536 * 1024), 1)
    drawn = 6_300 * area * QUALITIES.get(body.get("quality"), 1)
    return int(drawn) + 100 * body.get("partial_images", 0)


@st.composite
def bills(draw, operation, body):
    """Return a usage that a vendor may state for this body, and the tier that it served in."""
    text = {name: value for name, value in body.items() if name in READ}
    sounds = [part["input_audio"] for part in parts_of(body, "input_audio")]
    images = parts_of(body, "image_url")
    edited = [each for name in ("images", "input_references") for each in body.get(name, ())]
    edited += [body["mask"]] if "mask" in body else []
    without_data = len("".join(each["data"] for each in sounds))
    size = sum(len(each.encode("utf-8", "surrogatepass")) for each in strings(text)) - without_data
    sounds += [body["input_audio"]] if "input_audio" in body else []
    length = sum(len(each["data"]) * 3 // 4 for each in sounds)  # milliseconds, at 8 kbit/s
    heard = draw(st.integers(0, length * 35 // 1000))
    seen = draw(st.integers(0, 1_500 * len(images) + 7_000 * len(edited)))
    given = draw(st.integers(0, max(size, 0))) + heard + seen
    if isinstance(body.get("input"), list) and isinstance(body["input"][0], int):
        given = len(body["input"])
    read, write = draw(st.integers(0, given)), draw(st.integers(0, given))
    write = min(write, given - read)
    prompts = len(body["prompt"]) if isinstance(body.get("prompt"), list) else 1
    many = max(body.get("n", 1), body.get("best_of", 1)) * prompts
    most = max(body.get("max_tokens", 0), body.get("max_completion_tokens", 0)) or MOST
    written = {
        Operation.SPEECH: 3 * len(body.get("input", "")),
        Operation.TRANSCRIPTIONS: length // 100,
        **dict.fromkeys(PICTURES, most_drawn(body) * many),
    }.get(operation, 0 if operation in WITHOUT_OUTPUT else most * many)
    output = draw(st.integers(0, written))
    searches = sum(min(tool.get("max_uses", 0), 6) for tool in body.get("tools", ())) * many
    is_picture = operation in PICTURES
    usage = Usage(
        input=given - read - write,
        cache_read=read,
        cache_write=write,
        output=output,
        reasoning=draw(st.integers(0, output)),
        input_audio=min(heard, given - read - write),
        input_image=min(seen, given - read - write),
        output_audio=output if operation is Operation.SPEECH else None,
        output_image=output if is_picture else None,
        input_audio_ms=draw(st.integers(0, length)),
        input_characters=len(body["input"]) if operation is Operation.SPEECH else None,
        input_images=len(images) + len(edited),
        output_images=many if is_picture else None,
        searches=draw(st.integers(0, searches)),
        requests=-(-len(body.get("documents", [""])) // 100),
    )
    asked = body.get("service_tier")
    served = {"priority": ["default", "priority"], "fast": ["default", "fast"],
              "flex": ["default", "flex"], "auto": ["default", "flex", "priority"]}  # fmt: skip
    return usage, draw(st.sampled_from(served.get(asked, ["default", None])))


def quoted(operation, body, price):
    endpoint = Endpoint("p", "a/m", "m", price=price, max_completion_tokens=MOST)
    return compute_quotes(body, operation, Plan([PlanStep(endpoint, "")]), likely=1_000, most=MOST)


@settings(deadline=None)
@given(st.data(), ASKED, PRICES)
def test_no_bill_is_larger_than_the_hold(data, asked, price):
    operation, body = asked
    usage, tier = data.draw(bills(operation, body))
    held = quoted(operation, body, price)
    dearest = max([price, *(t.price for t in price.tiers)], key=lambda p: p.percent(tier))
    if dearest.percent(tier) > dearest.percent(body.get("service_tier")) > 0:
        tier = body.get("service_tier")  # made-up prices may make flex the dearest
    made = {name: value for name in ("quality", "size") if (value := data.draw(KIND))}
    request = CompletionRequest(body, "m")
    billed = price.of_picture(*find_picture_kind(request, Document(made)))
    assert pricing.cost(billed, usage, tier=tier) <= held.nanos[0]
    assert held.least[0] <= held.nanos[0]


def test_tokens_of_an_image_are_held_at_their_own_price():
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    body = {"messages": [{"role": "user", "content": [image]}]}
    price = Price(image_token=10**9)
    usage = Usage(input=1_500, input_image=1_500)
    held = quoted(Operation.CHAT, body, price)
    assert 0 < pricing.cost(price, usage) <= held.nanos[0]


@st.composite
def histories(draw):
    """Return jobs that come and end in any order: (operation, body, bill), and when each ends."""
    jobs = []
    for _ in range(draw(st.integers(1, 6))):
        operation, body = draw(ASKED)
        body.pop("service_tier", None)
        jobs.append((operation, body, draw(bills(operation, body))[0]))
    return jobs, draw(st.lists(st.booleans(), min_size=len(jobs), max_size=len(jobs)))


@settings(max_examples=50, deadline=None)
@given(histories(), PRICES, st.integers(0, 10**10), st.sampled_from(["credit", "key", "budget"]))
def test_what_is_charged_passes_a_purse_by_one_call_at_most(history, price, purse, kind):
    jobs, ends_at_once = history
    charged, open_jobs, excess = 0, [], 0
    for (operation, body, bill), ends in zip(jobs, ends_at_once, strict=True):
        held = quoted(operation, body, price)
        reserved = sum(hold for hold, _ in open_jobs)
        taken = take(kind, purse, charged, reserved, held)
        if not isinstance(taken, WaybillError):
            billed = price.of_picture(body.get("quality"), body.get("size"))
            open_jobs.append((taken, pricing.cost(billed, bill)))
            excess = max(excess, held.nanos[0] - taken)
        if ends:
            charged += sum(cost for _, cost in open_jobs)
            open_jobs = []
    charged += sum(cost for _, cost in open_jobs)
    assert charged <= purse + excess


@pytest.mark.parametrize("kind", ["credit", "key", "budget"])
def test_no_job_that_may_cost_something_is_taken_where_nothing_is_left(kind):
    need = HoldRequest(1_000_000, 0)
    refusal = purse_of(kind, 0, 0, 0).take(payer_of(kind), need)
    assert isinstance(refusal, WaybillError)
    assert refusal.metadata["reason"] == "weight_exceeds_budget"
    assert "0.001000 USD" in refusal.message


@pytest.mark.parametrize("kind", ["credit", "key", "budget"])
def test_a_job_that_probably_costs_nothing_holds_all_that_is_left(kind):
    purse, need = purse_of(kind, 7, 0, 0), HoldRequest(1_000_000, 0)
    assert purse.take(payer_of(kind), need) == 7
    assert isinstance(purse.take(payer_of(kind), need), WaybillError)


@pytest.mark.parametrize("kind", ["credit", "key", "budget"])
def test_free_jobs_are_taken_where_nothing_is_left(kind):
    purse = purse_of(kind, 0, 0, 0)
    assert [purse.take(payer_of(kind), HoldRequest(0, 0)) for _ in range(3)] == [0, 0, 0]


def take(kind, most, charged, held, wanted):
    """Ask a purse with that much spent and held, as a submission does."""
    need = HoldRequest(wanted.nanos[0], wanted.least[0], wanted.bound, wanted.likely)
    return purse_of(kind, most, charged, held).take(payer_of(kind), need)


def payer_of(kind):
    return Payer("ws", "key", unlimited=kind != "credit", budgeted=kind != "credit")


def purse_of(kind, most, charged, held):
    scope = BudgetScope.KEY if kind == "key" else BudgetScope.WORKSPACE
    limit = BudgetLimit("1", "ws", scope, "key", Reset.LIFETIME, most, spent=charged, held=held)
    balances = {"ws": LedgerTotals(credited=most, spent=charged, held=held)}
    return FundsCheck(balances, [] if kind == "credit" else [limit], 0)
