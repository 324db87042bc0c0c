"""Files may be called what their owners call them."""

import pytest

from tests.installation import Installation


@pytest.mark.parametrize("name", ["prompts.jsonl", "été.jsonl", "プロンプト.jsonl"])
def test_a_file_keeps_its_name_in_any_script(installation: Installation, name: str) -> None:
    # curl and Python's clients send the name as UTF-8 bytes (RFC 7578, §4.2)
    head = "Content-Disposition: form-data; name="
    purpose = f'{head}"purpose"\r\n\r\nuser_data'
    file = f'{head}"file"; filename="{name}"\r\n\r\n{{}}'
    body = f"--b\r\n{purpose}\r\n--b\r\n{file}\r\n--b--\r\n".encode()
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = installation.http.post("/files", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["filename"] == name
