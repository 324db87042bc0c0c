"""`data:` URIs and base64: every legal or common spelling gives the same plain one."""

import base64
from urllib.parse import quote, quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.requests.data_uris import canonical_base64, is_data_uri, read_data_uri, stated_type

SOME_BYTES = st.binary(min_size=1, max_size=200)


def in_lines(data, width=76, end="\r\n"):
    return end.join(data[at : at + width] for at in range(0, len(data), width))


SPELLINGS = {
    "plain": lambda data: data,
    "line breaks": in_lines,
    "short lines": lambda data: in_lines(data, 4, "\n"),
    "spaces": lambda data: f" {in_lines(data, 10, ' ')}\t",
    "no padding": lambda data: data.rstrip("="),
    "too much padding": lambda data: data.rstrip("=") + "====",
    "alphabet for URLs": lambda data: data.replace("+", "-").replace("/", "_"),
    "that without padding": lambda data: data.replace("+", "-").replace("/", "_").rstrip("="),
    "percent-encoded": lambda data: quote(data, safe=""),
    "percent-encoded lines": lambda data: quote(in_lines(data, 20), safe=""),
}
HEADS = [
    "data:image/png;base64,",
    "DATA:image/png;BASE64,",
    "Data:Image/PNG;Base64,",
    "  data:image/png ; base64 ,",
    "data:image/png;charset=utf-8;base64,",
    "data:image/png;name=a.png;base64,",
    "data:image/png;base64;x=y,",
]


@given(SOME_BYTES)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_base64_becomes_the_plain_one(spelling, content):
    plain = base64.b64encode(content).decode()
    assert canonical_base64(SPELLINGS[spelling](plain)) == plain


@given(SOME_BYTES)
@pytest.mark.parametrize("head", HEADS)
def test_every_spelling_of_the_head_is_read(head, content):
    plain = base64.b64encode(content).decode()
    for write in SPELLINGS.values():
        uri = head + write(plain)
        assert is_data_uri(uri)
        assert stated_type(uri) == "image/png"
        assert str(read_data_uri(uri)) == f"data:image/png;base64,{plain}"


@given(SOME_BYTES)
def test_data_without_base64_is_percent_encoded_bytes(content):
    uri = f"data:application/octet-stream,{quote_from_bytes(content)}"
    assert base64.b64decode(read_data_uri(uri).data) == content


@pytest.mark.parametrize(
    ("head", "mime"),
    [("data:image/jpg;base64,", "image/jpeg"), ("data:;base64,", None), ("data:png;base64,", None)],
)
def test_the_media_type(head, mime):
    assert read_data_uri(f"{head}QUFB").mime == mime


def test_a_text_becomes_utf8():
    content = base64.b64encode("Olá".encode("latin-1")).decode()
    read = read_data_uri(f"data:text/plain;charset=ISO-8859-1;base64,{content}")
    assert base64.b64decode(read.data).decode() == "Olá"


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("data:image/png;base64", "comma"),
        ("data:image/png;base64,", "without data"),
        ("data:image/png;base64,!!!!", "not base64"),
        ("data:image/png;base64,QUFBQ", "not base64"),
        ("data:image/png;base64,QU=FBQQ", "not base64"),
        ("data:image/png;base64,QUFBé", "not base64"),
        ("data:text/plain;charset=klingon,abc", "klingon"),
        ("data:text/plain;charset=ascii-7bit;base64,/w==", "charset"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_fault(uri, problem):
    with pytest.raises(ValueError, match=problem):
        read_data_uri(uri)


@pytest.mark.parametrize("text", ["https://a/data:b", "datum:", "", "iVBORw0KGgo="])
def test_what_is_no_data_uri(text):
    assert not is_data_uri(text)
