import hashlib
import hmac
from urllib.parse import quote, urlsplit

import httpx
import pytest
import yarl

from broker.completion import CompletionRequest
from workers.adapters.base import Upstream
from workers.adapters.bedrock import BedrockAdapter

HOST = "https://bedrock-runtime.eu-west-1.amazonaws.com"
ARN = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova-lite-v1:0"


def request(model="amazon.nova-lite-v1:0", base_url=HOST, *, stream=False, **more):
    upstream = Upstream("bedrock", base_url, **more)
    body = {"messages": [{"role": "user", "content": "hé"}]}
    return BedrockAdapter().build_request(CompletionRequest(body, model, stream=stream), upstream)


def by_hand(sent, secret, region):
    """Signature Version 4 as the AWS documentation tells it, without botocore."""

    def keyed(key, text):
        return hmac.new(key, text.encode(), hashlib.sha256).digest()

    fields = dict(
        part.split("=", 1) for part in sent.headers["authorization"].split(" ", 1)[1].split(", ")
    )
    url = urlsplit(sent.url)
    known = {**sent.headers, "host": url.netloc}
    names = fields["SignedHeaders"].split(";")
    canonical = "\n".join(
        [
            sent.method,
            quote(url.path, safe="/~"),
            "",
            *(f"{name}:{known[name].strip()}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(sent.body).hexdigest(),
        ]
    )
    date = sent.headers["x-amz-date"]
    scope = f"{date[:8]}/{region}/bedrock/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = keyed(key, part)
    signature = keyed(key, f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}").hex()
    return fields, signature


@pytest.mark.parametrize("model", ["amazon.nova-lite-v1:0", ARN])
@pytest.mark.parametrize("stream", [False, True])
def test_the_signature_is_that_of_the_documentation(model, stream):
    sent = request(model, stream=stream, api_key="AKID:SE/CRET:SES:SION", headers={"X-Team": "a"})
    fields, signature = by_hand(sent, "SE/CRET", "eu-west-1")
    assert fields["Signature"] == signature
    assert fields["Credential"].startswith("AKID/")
    assert sent.headers["x-amz-security-token"] == "SES:SION"
    assert {"host", "x-amz-date", "x-amz-security-token", "x-team"} <= set(
        fields["SignedHeaders"].split(";")
    )


def test_credentials_and_region_from_options():
    options = {"access_key_id": "AKID", "secret_access_key": "S", "region": "us-west-2"}
    sent = request(base_url="", options=options)
    assert sent.url.startswith("https://bedrock-runtime.us-west-2.amazonaws.com/model/")
    fields, signature = by_hand(sent, "S", "us-west-2")
    assert fields["Signature"] == signature
    assert "x-amz-security-token" not in sent.headers


def test_a_bedrock_api_key_is_a_bearer_token():
    sent = request(api_key="ABSKQmVkcm9jaw==")
    assert sent.headers["authorization"] == "Bearer ABSKQmVkcm9jaw=="
    assert "x-amz-date" not in sent.headers
    assert "authorization" not in request().headers


URLS = [
    ("amazon.nova-lite-v1:0", False, "/model/amazon.nova-lite-v1:0/converse"),
    (ARN, True, f"/model/{ARN.replace('/', '%2F')}/converse-stream"),
    ("a b/ü", False, "/model/a%20b%2F%C3%BC/converse"),
]


@pytest.mark.parametrize(("model", "stream", "path"), URLS)
def test_urls_are_the_same_to_every_client(model, stream, path):
    url = request(model, stream=stream).url
    assert url == HOST + path
    # The signature is for the path as it is sent: no client may rewrite it.
    assert yarl.URL(url).raw_path == path
    assert httpx.URL(url).raw_path == path.encode()


def test_the_region_may_stand_in_the_address():
    url = request(base_url="https://vpce.{region}.example", options={"region": "eu-north-1"}).url
    assert url.startswith("https://vpce.eu-north-1.example/model/")
