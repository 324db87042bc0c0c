"""A reader who follows a page: runs each block as it stands, in one directory, in order."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.docs.pages import Block
from tests.house import REPOSITORY

FILES = Path(__file__).with_name("files")
SHELL = ["bash", "-euo", "pipefail", "-c"]
SECONDS = 60
ERROR = re.compile(r'"error": ?[{"]|"type": ?"urn:waybill:error|"error_type": ?"')
SHOWN_ID = re.compile(r"\b([a-z]+_)(?:…|[0-9A-Z]{26})")  # of the reader's, in place of ours
SHOWN_KEY = re.compile(r"sk-wb-(?:v1-)?…")
SAID_ID = re.compile(r"\b([a-z]+_)[0-9A-Z]{26}\b")
SAID_KEY = re.compile(r"\bsk-wb-v1-\w+")


class Reader:
    """Has a shell, an editor, and what the commands have said so far.

    An id or a key that a page shows (`job_…`) is the one that a command said last.
    """

    def __init__(
        self,
        directory: Path,
        environment: Mapping[str, str],
        *,
        addresses: Mapping[str, str],
        said: Mapping[str, str],
    ) -> None:
        self.directory = directory
        self.environment = dict(environment)
        self.said = dict(said)
        self._addresses = addresses
        self._python = ""
        directory.mkdir(exist_ok=True)
        shutil.copytree(FILES, directory, dirs_exist_ok=True)
        (directory / "examples").symlink_to(REPOSITORY / "examples")

    def follow(self, block: Block) -> None:
        """Do what a block shows. Raises AssertionError where that fails."""
        if block.language == "toml":
            with (self.directory / "waybill.toml").open("a") as config:
                config.write(self._meant(block.text))
        elif block.language == "python":
            self._python += self._meant(block.text)
            self._run([sys.executable, "-c", self._python])
        else:
            text = block.text if block.language == "sh" else commands(block.text)
            for statement in statements(text):
                self._command(self._meant(statement))

    def _command(self, statement: str) -> None:
        kept = self.directory / ".environment"
        self._run([*SHELL, f"{statement}\nenv -0 > {kept}"])
        names = (each.partition("=") for each in kept.read_text().split("\0") if each)
        self.environment = {name: value for name, _, value in names}

    def _run(self, command: list[str]) -> None:
        ended = subprocess.run(
            command,
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        story = f"{command[-1]}\n→ {ended.stdout}\n{ended.stderr}"
        assert ended.returncode == 0, story
        assert not ERROR.search(ended.stdout), story
        self._hear(ended.stderr)
        self._hear(ended.stdout)

    def _hear(self, text: str) -> None:
        for pattern, kind in ((SAID_ID, 1), (SAID_KEY, 0)):
            first = {m[kind] if kind else "key": m[0] for m in reversed([*pattern.finditer(text)])}
            self.said |= first

    def _meant(self, text: str) -> str:
        """Return a shown text with the reader's own addresses, ids and keys in it."""
        for shown, own in self._addresses.items():
            text = text.replace(shown, own)
        text = SHOWN_KEY.sub(lambda _: self.said["key"], text)
        return SHOWN_ID.sub(lambda match: self.said.get(match[1], match[0]), text)


def commands(console: str) -> str:
    """Return what is typed in a block that shows commands and what they said."""
    lines = console.splitlines(keepends=True)
    return "".join(line.removeprefix("$ ") for line in lines if line.startswith("$ "))


def statements(text: str) -> Iterator[str]:
    """Cut what is typed in a shell into the lines that belong together."""
    pending = ""
    for line in text.splitlines(keepends=True):
        pending += line
        if not line.endswith("\\\n") and is_whole(pending):
            yield pending
            pending = ""
    assert not pending, f"a command that does not end:\n{pending}"


def is_whole(text: str) -> bool:
    return not subprocess.run(["bash", "-n", "-c", text], capture_output=True, check=False).returncode
