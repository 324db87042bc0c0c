"""A reader who follows a page: runs each block as it stands, in one directory, in order."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.docs.pages import Block
from tests.installation import REPOSITORY

FILES = Path(__file__).with_name("files")  # what pages take for the reader's own
SHELL = ["bash", "-euo", "pipefail", "-c"]
SECONDS = 60
REFUSED = re.compile(r'"error": ?[{"]|"type": ?"urn:waybill:error')


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs that run the blocks of a page."""

    python: str = sys.executable
    modules: str | None = None  # a `node_modules` directory; without it, no `js` is run


OWN = Programs()


class Reader:
    """A shell and an editor in one directory; only addresses differ from what a page shows."""

    def __init__(
        self,
        directory: Path,
        environment: Mapping[str, str],
        *,
        addresses: Mapping[str, str],
        programs: Programs = OWN,
    ) -> None:
        self._directory = directory
        self._environment = {**environment, "HOME": str(directory)}
        self._addresses = addresses
        self._programs = programs
        self._python = self._js = ""  # a block goes on from those before it
        shutil.copytree(FILES, directory, dirs_exist_ok=True)
        (directory / "examples").symlink_to(REPOSITORY / "examples")
        if programs.modules is not None:
            (directory / "node_modules").symlink_to(programs.modules)
            self._environment["PATH"] += f":{programs.modules}/.bin"

    def follow(self, block: Block) -> None:
        """Do what a block shows. Raises AssertionError where that fails."""
        match block.language:
            case "sh":
                self._type(block.text)
            case "console":
                self._type(typed(block.text))
            case "python":
                self._python += self._meant(block.text)
                self._run([self._programs.python, "-c", self._python])
            case "js" if self._programs.modules is not None:
                self._js += self._meant(block.text)
                self._run(["node", "--input-type=module", "-e", self._js])
            case "toml":
                with (self._directory / "waybill.toml").open("a") as config:
                    config.write(self._meant(block.text) + "\n")

    def _type(self, text: str) -> None:
        """Run commands one by one; those after them have their variables."""
        kept = self._directory / ".environment"
        for command in commands(text):
            self._run([*SHELL, f"set -a\n{self._meant(command)}\nenv -0 > {kept}"])
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

    def _meant(self, text: str) -> str:
        """Return a shown text with the addresses of the running server in it."""
        for shown, own in self._addresses.items():
            text = text.replace(shown, own)
        return text


def typed(console: str) -> str:
    """Return the commands of a block that shows their output too; a backslash continues a line."""
    kept: list[str] = []
    for line in console.splitlines(keepends=True):
        if line.startswith("$ ") or (kept and kept[-1].endswith("\\\n")):
            kept.append(line.removeprefix("$ "))
    return "".join(kept)


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
    read = subprocess.run(["bash", "-nc", text], capture_output=True, text=True, check=False)
    return not read.returncode and "here-document" not in read.stderr
