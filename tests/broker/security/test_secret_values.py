"""Keys as they come out of environments, files and forms."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from broker.credentials.records import read_key
from broker.errors import InvalidRequestError
from broker.providers import configuration
from broker.security.secret_values import InvalidSecretError, clean_secret
from broker.settings import ProviderRow, Settings
from tests.broker.providers.test_configuration import configured

KEY = "sk-nl-secret-0123456789"
AROUND = ["{}\n", "{}\r\n", " {} ", "\ufeff{}", '"{}"', "'{}'\n", "{}\0", "\t{}\u200b"]
REFUSED = [
    ("sk-nl-secret\n0123456789", "line break"),
    ("sk-nl-secret\r0123456789", "line break"),
    ("sk-nl-secret\u20110123456789", r"U\+2011"),
    ("sk-nl-secret\u00e9", r"U\+00E9"),
    ("sk-nl-secret\x000123456789", r"U\+0000"),
    (f"Bearer {KEY}", "without `Bearer`"),
    ("k" * 10_001, "10,000"),
]


@pytest.mark.parametrize("written", AROUND)
def test_what_stands_around_a_key_is_removed_wherever_it_is_read(written, tmp_path):
    given = written.format(KEY)
    file = tmp_path / "key"
    file.write_text(given, newline="")
    row = {"slug": "mine", "base_url": "http://m"}
    assert configured(OPENAI_API_KEY=given)["openai"].api_key == KEY
    assert configured(row | {"api_key": "env:MINE"}, MINE=given)["mine"].api_key == KEY
    assert configured(row | {"api_key": f"file:{file}"})["mine"].api_key == KEY
    assert configured(row | {"api_key": given})["mine"].api_key == KEY
    assert read_key(given) == KEY


@pytest.mark.parametrize(("given", "why"), REFUSED)
def test_what_no_header_carries_is_refused_by_the_name_of_its_source(given, why, tmp_path):
    file = tmp_path / "key"
    file.write_text(given, newline="")
    row = {"slug": "mine", "base_url": "http://m"}
    with pytest.raises(SystemExit, match=f"OPENAI_API_KEY: .*{why}") as variable:
        configured(OPENAI_API_KEY=given)
    with pytest.raises(SystemExit, match=rf"MINE \(api_key of provider 'mine'.*{why}") as named:
        configured(row | {"api_key": "env:MINE"}, MINE=given)
    with pytest.raises(SystemExit, match=f"api_key of provider 'mine'.*{why}") as stored:
        configured(row | {"api_key": f"file:{file}"})
    with pytest.raises(ValidationError, match=why) as literal:
        ProviderRow(**row, api_key=given)
    with pytest.raises(InvalidRequestError, match=f"key: .*{why}") as brought:
        read_key(given)
    messages = [literal.value.errors()[0]["msg"]]
    messages += [str(each.value) for each in (variable, named, stored, brought)]
    assert not any("secret" in message for message in messages)


def test_a_key_made_of_several_variables_is_cleaned_in_parts():
    found = configured(
        AWS_ACCESS_KEY_ID="AKIA123\n", AWS_SECRET_ACCESS_KEY=" s3cr3t\n", AWS_REGION="eu-west-1\n"
    )
    assert found["amazon-bedrock"].api_key == "AKIA123:s3cr3t"
    assert "\n" not in found["amazon-bedrock"].base_url


@pytest.mark.parametrize("blank", ["", " ", "\n", "\ufeff", '""'])
def test_a_blank_key_is_no_key(blank):
    assert configured(OPENAI_API_KEY=blank) == {}
    row = {"slug": "mine", "base_url": "http://m", "api_key": "env:MINE"}
    assert configured(row, MINE=blank)["mine"].api_key is None


def test_a_missing_file_is_named():
    row = {"slug": "mine", "base_url": "http://m", "api_key": "file:/nowhere/key"}
    with pytest.raises(SystemExit, match=r"'mine'.*/nowhere/key cannot be read"):
        configured(row)


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"x-team": "a\nb"}, "line break"),
        ({"x-team": "caf\u00e9"}, r"U\+00E9"),
        ({"x team": "a"}, "no name of a header"),
    ],
)
def test_headers_of_a_row_are_checked(headers, why):
    with pytest.raises(ValidationError, match=why):
        ProviderRow(slug="mine", headers=headers)


@given(st.text(max_size=60))
def test_a_cleaned_key_can_be_sent_or_is_refused(given_key):
    with contextlib.suppress(InvalidSecretError):
        key = clean_secret(given_key, "KEY")
        assert key == key.strip()
        assert key.isascii()
        assert key.isprintable()


def test_the_settings_of_a_row_do_not_show_its_secrets():
    row = ProviderRow(slug="mine", base_url="http://m", api_key=KEY, headers={"x-token": KEY})
    settings = Settings.model_construct(providers=[row])
    assert KEY not in repr(settings)
    assert KEY not in repr(configuration.load_providers(settings, {}))
