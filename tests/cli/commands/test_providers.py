import httpx
import pytest
from typer.testing import CliRunner

from broker.catalog import Offer, imports
from broker.catalog.imports import Change, Kind
from broker.pricing import Price
from broker.providers.configuration import load_providers
from broker.providers.endpoints import Endpoint
from broker.providers.vendors import vendors
from broker.settings import Settings
from cli.commands import provider_checks
from cli.commands.provider_checks import check
from cli.database import open_database
from cli.main import app
from workers.adapters.registry import ADAPTERS
from workers.simulator.background import running

SECRET = "sk-a-very-secret-key"


@pytest.fixture(scope="module")
def simulator():
    with running() as simulator:
        yield simulator


@pytest.fixture
def waybill(tmp_path, monkeypatch):
    """Runs `waybill providers …` with this waybill.toml and these variables only."""
    config = tmp_path / "waybill.toml"
    monkeypatch.setenv("WAYBILL_CONFIG", str(config))
    monkeypatch.setenv("WAYBILL_DATA_DIR", str(tmp_path / "data"))
    for vendor in vendors().values():
        options = [*vendor.needs.values(), *vendor.takes.values()]
        for name in (
            *vendor.key_variables,
            *vendor.address,
            *(n for given in options for n in given),
        ):
            monkeypatch.delenv(name, raising=False)

    def run(*words, toml="", **environ):
        config.write_text(toml)
        return CliRunner().invoke(app, ["providers", *words], env=environ)

    return run


def row(slug, base_url, **more):
    fields = {"slug": slug, "base_url": base_url, "api_key": SECRET, **more}
    return "[[providers]]\n" + "".join(f'{name} = "{value}"\n' for name, value in fields.items())


def found(environ, answer):
    """Check the one provider that these variables light, which gives this answer."""
    asked = []

    def handle(request):
        asked.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    [provider] = load_providers(Settings.model_construct(), environ).values()
    with httpx.Client(transport=httpx.MockTransport(handle)) as http:
        finding = check(provider, http)
    return finding, asked[0]


def test_list_shows_who_is_lit_and_never_a_key(waybill):
    shown = waybill(
        "list", toml=row("mine", "http://h/v1", wire="openai"), GROQ_API_KEY=SECRET
    ).stdout
    lines = {line.split()[0]: line for line in shown.splitlines()}
    assert set(lines) == {"slug", "groq", "mine"}
    assert "configured" in lines["groq"]
    assert "https://api.groq.com/openai/v1" in lines["groq"]
    assert SECRET not in shown


def test_list_explains_a_key_that_is_not_enough(waybill):
    shown = waybill("list", CLOUDFLARE_API_TOKEN=SECRET).stdout
    assert "set CLOUDFLARE_ACCOUNT_ID" in shown
    assert "{account}" in shown


def test_list_explains_a_variable_that_is_not_set(waybill):
    toml = row("mine", "http://h/v1", api_key="env:MINE_KEY")
    assert "no key: set MINE_KEY" in waybill("list", toml=toml).stdout


def test_list_all_shows_every_vendor(waybill):
    shown = waybill("list", "--all").stdout
    assert set(vendors()) <= {line.split()[0] for line in shown.splitlines()}
    assert "set DEEPSEEK_API_KEY" in shown
    assert "set OLLAMA_HOST to its address" in shown


def test_list_counts_models(waybill):
    model = '[[models]]\nslug = "acme/m"\nendpoints = [{ provider = "mine", model = "m" }]\n'
    shown = waybill("list", toml=row("mine", "http://h/v1") + model, OLLAMA_HOST="h").stdout
    lines = {line.split()[0]: line.split() for line in shown.splitlines()}
    assert lines["mine"][-2] == "1"
    assert lines["ollama"][-2] == "any"


def test_check_asks_the_simulator(waybill, simulator):
    result = waybill("check", toml=row("mine", simulator.base_url))
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("ok    mine")
    assert "lists" in result.stdout


def test_check_of_a_known_vendor_elsewhere_asks_there(waybill, simulator):
    # OpenRouter's row names another address to ask; a stand-in is asked for its models
    result = waybill("check", "openrouter", toml=row("openrouter", simulator.base_url))
    assert result.exit_code == 0, result.output


def test_check_fails_when_one_fails(waybill, simulator):
    toml = row("mine", simulator.base_url) + row("gone", "http://127.0.0.1:9/v1")
    result = waybill("check", toml=toml)
    assert result.exit_code == 1
    assert "ok    mine" in result.stdout
    assert "WRONG gone" in result.stdout
    assert "check the network and base_url http://127.0.0.1:9/v1" in result.stdout
    # And asking for the good one alone is fine
    assert waybill("check", "mine", toml=toml).exit_code == 0


def test_check_of_a_wrong_path_says_so(waybill, simulator):
    base = simulator.base_url.removesuffix("/v1") + "/wrong"
    result = waybill("check", toml=row("mine", base))
    assert result.exit_code == 1
    assert "check base_url; it usually ends in /v1" in result.stdout


def test_check_of_somebody_who_is_not_lit(waybill):
    result = waybill("check", "groq", "nobody")
    assert result.exit_code == 1
    assert "not configured: set GROQ_API_KEY" in result.stdout
    assert "WRONG nobody" in result.stdout


def test_check_without_anybody(waybill):
    result = waybill("check")
    assert result.exit_code == 1
    assert "no provider can be called" in result.stderr


def test_a_wire_nobody_speaks(waybill):
    result = waybill("check", toml=row("mine", "http://h", wire="telegraph"))
    assert result.exit_code == 1
    assert "'telegraph'" in result.stdout


@pytest.mark.parametrize(
    ("environ", "status", "body"),
    [
        ({"GROQ_API_KEY": SECRET}, 401, {"error": {"message": "Invalid API Key"}}),
        # xAI and Google say 400
        (
            {"XAI_API_KEY": SECRET},
            400,
            {"code": "Client specified an invalid argument", "error": "Incorrect API key provided"},
        ),
        (
            {"GEMINI_API_KEY": SECRET},
            400,
            {
                "error": {
                    "code": 400,
                    "message": "API key not valid. Please pass a valid API key.",
                    "status": "INVALID_ARGUMENT",
                    "details": [{"reason": "API_KEY_INVALID"}],
                }
            },
        ),
    ],
)
def test_a_refused_key_is_told_as_one_with_its_variable(environ, status, body):
    finding, _ = found(environ, httpx.Response(status, json=body))
    assert not finding.is_well
    assert "refuses the key" in finding.text
    assert next(iter(environ)) in finding.text
    assert SECRET not in finding.text


@pytest.mark.parametrize(
    ("answer", "is_well", "text"),
    [
        (httpx.Response(200, json={"data": [{}, {}]}), True, "lists 2 models"),
        (httpx.Response(200, json={"total_credits": 1}), True, "answers"),
        (httpx.Response(200, text="hello"), True, "answers"),
        (httpx.Response(404), True, "the key was not tried"),
        (httpx.Response(429), True, "rate limited"),
        (httpx.Response(402, json={"error": {"message": "no"}}), False, "requires payment"),
        (httpx.Response(500, text="oops"), False, "Try again later"),
        (httpx.ReadTimeout("slow"), False, "no answer within 10 s"),
        (httpx.ConnectError("refused"), False, "cannot be reached"),
    ],
)
def test_what_came_of_it(answer, is_well, text):
    finding, _ = found({"GROQ_API_KEY": SECRET}, answer)
    assert (finding.is_well, text in finding.text) == (is_well, True), finding.text


def test_a_local_server_that_is_not_there():
    finding, _ = found({"OLLAMA_HOST": "gpu.lan"}, httpx.ConnectError("refused"))
    assert finding.text == "no server at http://gpu.lan:11434/v1: start it, or correct OLLAMA_HOST"


@pytest.mark.parametrize(
    ("environ", "url", "header"),
    [
        (
            {"ANTHROPIC_API_KEY": SECRET},
            "https://api.anthropic.com/v1/models",
            ("x-api-key", SECRET),
        ),
        (
            {"GEMINI_API_KEY": SECRET},
            "https://generativelanguage.googleapis.com/v1beta/models?pageSize=1",
            ("x-goog-api-key", SECRET),
        ),
        (
            {"COHERE_API_KEY": SECRET},
            "https://api.cohere.com/v1/models",
            ("authorization", f"Bearer {SECRET}"),
        ),
        (
            {
                "AZURE_API_KEY": SECRET,
                "AZURE_RESOURCE_NAME": "r",
                "OPENAI_API_VERSION": "2024-10-21",
            },
            "https://r.openai.azure.com/openai/models?api-version=2024-10-21",
            ("api-key", SECRET),
        ),
        (
            {"AWS_BEARER_TOKEN_BEDROCK": SECRET, "AWS_REGION": "eu-west-1"},
            "https://bedrock.eu-west-1.amazonaws.com/foundation-models",
            ("authorization", f"Bearer {SECRET}"),
        ),
        (
            {"OPENROUTER_API_KEY": SECRET},
            "https://openrouter.ai/api/v1/key",
            ("authorization", f"Bearer {SECRET}"),
        ),
    ],
)
def test_each_wire_is_asked_in_its_own_way(environ, url, header):
    _, asked = found(environ, httpx.Response(200, json={}))
    assert (asked.method, str(asked.url)) == ("GET", url)
    assert asked.headers[header[0]] == header[1]
    assert not asked.content


def test_models_that_an_import_brought_are_counted(waybill, simulator, tmp_path):
    config = row("mine", simulator.base_url, wire="openai")
    assert counted(waybill("list", toml=config)) == 0
    assert not (tmp_path / "data").exists()  # a look makes no database
    with open_database() as database, database.transaction() as connection:
        endpoint = Endpoint("mine", "acme/new", "new", Price(prompt=1))
        change = Change(("mine", "acme/new"), Kind.NEW, None, Offer(endpoint))
        imports.apply(connection, [change], source="a test", now=1)
    assert counted(waybill("list", toml=config)) == 1


def counted(result):
    [line] = [line for line in result.output.splitlines() if line.startswith("mine")]
    return int(line.split()[4])


@pytest.mark.parametrize("word", ["list", "check"])
@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"wire": "nope"}, "has wire 'nope'; known wires are"),
        ({"quirks": ["zzz"]}, "has quirk 'zzz'; its wire knows"),
    ],
)
def test_a_wire_or_quirk_that_nobody_knows_is_told(waybill, word, more, told):
    toml = "".join(f"{name} = {value!r}\n" for name, value in more.items())
    done = waybill(word, toml=row("mine", "http://127.0.0.1:9") + toml)
    assert done.exit_code == 1
    assert told in done.output


def test_a_vendor_may_be_asked_in_another_language_than_its_own(waybill):
    toml = row("deepseek", "http://127.0.0.1:9/anthropic/v1", wire="anthropic")
    done = waybill("list", toml=toml)
    assert done.exit_code == 0, done.output
    [line] = [line for line in done.output.splitlines() if line.startswith("deepseek")]
    assert "anthropic" in line


@pytest.mark.parametrize("wire", ADAPTERS)
def test_the_hint_about_the_address_is_one_for_the_wire(wire):
    hint = provider_checks.BASE_URL_HINTS[wire]
    if wire in {"openai", "mistral", "anthropic", "responses"}:
        assert hint == "it usually ends in /v1"
    else:
        assert hint != "it usually ends in /v1"
