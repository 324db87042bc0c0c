"""A reader who follows a page: runs each block as it stands, in one directory, in order."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.docs.pages import Block
from tests.house import REPOSITORY

FILES = Path(__file__).with_name("files")  # what pages take for the reader's own
SHELL = ["bash", "-euo", "pipefail", "-c"]
SECONDS = 60
REFUSED = re.compile(r'"error": ?[{"]|"type": ?"urn:waybill:error')
SHOWN_ID = re.compile(r"\b([a-z]+_)(?:…|[0-9A-Z]{26})")
SHOWN_KEY = re.compile(r"sk-wb-(?:v1-)?…")
SAID_ID = re.compile(r"\b([a-z]+_)[0-9A-Z]{26}\b")
SAID_KEY = re.compile(r"\bsk-wb-v1-\w+")


class Reader:
    """Has a shell, an editor, and what the commands have said so far.

    For an id or a key that a page shows (`job_…`) a reader takes the one that was said last.
    """

    def __init__(
        self,
        directory: Path,
        environment: Mapping[str, str],
        *,
        addresses: Mapping[str, str],
        said: Mapping[str, str],
    ) -> None:
        self._directory = directory
        self._environment = dict(environment)
        self._addresses = addresses
        self._said = dict(said)
        self._python = ""  # a block goes on from those before it
        shutil.copytree(FILES, directory, dirs_exist_ok=True)
        (directory / "examples").symlink_to(REPOSITORY / "examples")

    def follow(self, block: Block) -> None:
        """Do what a block shows. Raises AssertionError where that fails."""
        match block.language:
            case "sh":
                self._type(block.text)
            case "console":
                self._type(typed(block.text))
            case "python":
                self._python += self._meant(block.text)
                self._run([sys.executable, "-c", self._python])
            case "toml":
                with (self._directory / "waybill.toml").open("a") as config:
                    config.write(self._meant(block.text) + "\n")

    def _type(self, text: str) -> None:
        """Run commands one by one; what they export is there for those after them."""
        kept = self._directory / ".environment"
        for command in commands(text):
            self._run([*SHELL, f"{self._meant(command)}\nenv -0 > {kept}"])
            pairs = (each.partition("=") for each in kept.read_text().split("\0") if each)
            self._environment = {name: value for name, _, value in pairs}

    def _run(self, command: list[str]) -> None:
        ended = subprocess.run(
            command,
            cwd=self._directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        story = f"{command[-1]}\n→ {ended.stdout}\n{ended.stderr}"
        assert ended.returncode == 0, story
        assert not REFUSED.search(ended.stdout), story
        self._hear(ended.stderr)
        self._hear(ended.stdout)

    def _hear(self, text: str) -> None:
        """Remember ids and keys: of several of a kind the first, which is the newest in lists."""
        for said in reversed([*SAID_ID.finditer(text)]):
            self._said[said[1]] = said[0]
        for key in SAID_KEY.findall(text):
            self._said["key"] = key

    def _meant(self, text: str) -> str:
        """Return a shown text with the reader's own addresses, ids and keys in it."""
        for shown, own in self._addresses.items():
            text = text.replace(shown, own)
        text = SHOWN_KEY.sub(lambda _: self._said["key"], text)
        return SHOWN_ID.sub(lambda shown: self._said.get(shown[1], shown[0]), text)


def typed(console: str) -> str:
    """Return what is typed in a block that shows commands and what they said."""
    lines = console.splitlines(keepends=True)
    return "".join(line.removeprefix("$ ") for line in lines if line.startswith("$ "))


def commands(text: str) -> Iterator[str]:
    """Cut what is typed in a shell into whole commands: a quoted text may go over lines."""
    pending = ""
    for line in text.splitlines(keepends=True):
        pending += line
        if not line.endswith("\\\n") and _is_whole(pending):
            yield pending
            pending = ""
    assert not pending, f"a command without an end:\n{pending}"


def _is_whole(text: str) -> bool:
    return not subprocess.run(["bash", "-nc", text], capture_output=True, check=False).returncode
