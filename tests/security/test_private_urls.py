"""A caller has a provider on the operator's own network fetch what lies beside it."""

from ipaddress import ip_address, ip_network

import pytest

from workers.media import refuse_private_urls

LOCAL = ["http://127.0.0.1:8000/v1", "http://10.0.0.7/v1", "http://[fd00::7]:8000/v1",
         "http://vllm:8000/v1", "http://localhost:11434/v1", "https://llm.corp.example/v1",
         "https://nobody-knows.example/v1"]  # fmt: skip
PUBLIC = "https://api.vendor.example/v1"
METADATA = [
    "http://169.254.169.254/latest", "http://2852039166/", "http://0xa9fea9fe/",
    "http://0xa9.0xfe.0xa9.0xfe/", "http://0251.0376.0251.0376/", "http://169.16689662/",
    "http://169.254.43518/", "http://[::ffff:169.254.169.254]/", "http://[::ffff:a9fe:a9fe]/",
    "http://[64:ff9b::a9fe:a9fe]/", "http://[2002:a9fe:a9fe::]/", "http://169.254.169.254./",
    "http://169.254.169.254:80/", "http://x@169.254.169.254/", "http://169.254.169.254\\@a.example/",
    "HTTP://169.254.169.254/", " http://169.254.169.254/", "http:169.254.169.254",
    "http://169.254.169.254%2f@a.example/", "http://\uff11\uff16\uff19.254.169.254/",
    "http://169\u3002254\u3002169\u3002254/", "http://16\t9.254.169.254/", "http://[fd00:ec2::254]/",
    " " * 64 + "http://169.254.169.254/x", "\u00a0http://169.254.169.254/x",
    "\u2003\u3000\ufeff\x00http://169.254.169.254/x", "ht\ttp://169.254.169.254/x",
    "h\r\nt\tt" + "\n" * 100 + "p:\t//169.254.169.254/x", "//169.254.169.254/x",
    " /\t/169.254.169.254/x", "\\\\169.254.169.254/x", "/\\169.254.169.254/x", "//2852039166/x",
    "http://metadata.google.internal/", "https://100.100.100.200/", "http://169.254.170.2/v2",
]  # fmt: skip
PRIVATE = [
    "http://10.0.0.1/", "http://192.168.1.1/admin", "https://127.0.0.1:6379/", "http://[::1]/",
    "http://172.16.3.4:8080/x.png", "http://169.254.7.7/", "http://[fe80::1]/", "http://0/",
    "file:///etc/passwd", "gopher://10.0.0.1/", "ftp://10.0.0.1/",
]  # fmt: skip
NAMES = {
    "llm.corp.example": "10.1.2.3",
    "api.vendor.example": "8.8.8.8",
    "images.example": "8.8.4.4",
    "10.0.0.1.nip.example": "10.0.0.1",
    "metadata.nip.example": "169.254.169.254",
}


async def ask(host, _port):
    if host not in NAMES:
        raise OSError(host)
    return [ip_address(NAMES[host])]


def image(url):
    return {"type": "image_url", "image_url": {"url": url}}


def chat(*parts):
    return {"messages": [{"role": "user", "content": list(parts)}]}


async def refused(body, base_url=LOCAL[0], networks=(), opens=()):
    listed = [ip_network(each) for each in networks]
    return await refuse_private_urls(body, base_url, listed, opens, ask) is not None


@pytest.mark.parametrize("url", METADATA)
async def test_no_spelling_of_a_metadata_service_reaches_any_provider(url):
    everything = ["0.0.0.0/0", "::/0"]
    for base_url in (*LOCAL, PUBLIC):
        assert await refused(chat(image(url)), base_url)
    assert await refused(chat(image(url)), networks=everything)


@pytest.mark.parametrize("url", PRIVATE)
async def test_a_private_url_reaches_no_provider(url):
    assert await refused(chat(image(url)))
    assert await refused(chat(image(url)), PUBLIC)


@pytest.mark.parametrize("base_url", LOCAL)
@pytest.mark.parametrize(
    "host", ["10.0.0.1.nip.example", "metadata.nip.example", "localhost", "vllm", "a.localhost"]
)
async def test_a_name_that_leads_inside_reaches_no_private_provider(base_url, host):
    assert await refused(chat(image(f"https://{host}/x.png")), base_url)


@pytest.mark.parametrize(
    "body",
    [
        chat({"type": "image_url", "image_url": "http://10.0.0.1/"}),
        chat({"type": "audio_url", "audio_url": {"url": "http://10.0.0.1/"}}),
        chat({"type": "input_audio", "input_audio": {"data": "http://10.0.0.1/a.wav"}}),
        chat({"type": "file", "file": {"file_data": "http://10.0.0.1/a.pdf"}}),
        chat({"type": "file", "file": {"file_data": "//10.0.0.1/a.pdf"}}),
        chat({"type": "file", "file": {"file_data": "\u00a0ht\ntp://10.0.0.1/a.pdf"}}),
        chat({"type": "document", "source": {"type": "url", "url": "http://10.0.0.1/"}}),
        chat({"type": "new", "new": {"deep": [{"URL": "http://10.0.0.1/"}]}}),
        {"messages": [], "tools": [{"type": "mcp", "server_url": "http://10.0.0.1/"}]},
        {"input": [{"content": [image("http://10.0.0.1/")]}]},
        {"prompt": "x", "image": "http://10.0.0.1/"},
    ],
)
async def test_it_is_found_wherever_a_provider_would_look(body):
    assert await refused(body)


@pytest.mark.parametrize(
    "body",
    [
        chat(image("https://images.example/cat.png"), image("https://8.8.8.8:9443/cat.png")),
        chat(image("data:image/png;base64,AAAA"), {"type": "text", "text": "see http://10.0.0.1/"}),
        {"messages": [{"role": "user", "content": "http://10.0.0.1/ is down"}]},
        chat({"type": "input_audio", "input_audio": {"data": "//uQxAAA", "format": "mp3"}}),
        chat({"type": "input_audio", "input_audio": {"data": "//uQ\r\n" * 99, "format": "mp3"}}),
        chat(image(" \n" * 64 + "data:image/png;base64,AAAA")),
        {"messages": [], "tools": [{"type": "function", "function": {"url": "http://10.0.0.1"}}]},
        {"messages": [], "metadata": {"url": "http://10.0.0.1/"}},
    ],
)
async def test_what_is_public_or_text_is_passed_on(body):
    assert not await refused(body)


async def test_what_the_operator_allowed_is_passed_on():
    assert not await refused(chat(image("http://10.0.0.1/x.png")), networks=["10.0.0.0/8"])
    assert not await refused(chat(image("https://10.0.0.1.nip.example/")), networks=["10.0.0.0/8"])
    assert not await refused(chat(image("gs://bucket/x.png")), opens=("gs://",))
