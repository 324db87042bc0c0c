"""Write `locks/`: exact versions with the hashes of their files, for `pip --require-hashes`.

    make lock

`locks/base.txt` is what Waybill needs, `locks/EXTRA.txt` what an extra adds to that, and
`locks/build.txt` what builds the wheel. Versions are those of constraints.txt; a package that is
not there yet is an error. Runs `uv pip compile`, which asks the package index that uv is set to.
"""

import argparse
import re
import subprocess
import sys
import tomllib

from tests.installation import REPOSITORY

LOCKS = REPOSITORY / "locks"
PYTHON = "3.11"
"""The Python of the image."""

Pins = dict[str, str]
"""The lines of a lock for each package, by name."""

_BLOCK = re.compile(r"^(?P<name>[\w.-]+)==.*?(?=^[\w.-]+==|\Z)", re.MULTILINE | re.DOTALL)


def extras() -> list[str]:
    """Return the extras that an image can have."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return [name for name in project["optional-dependencies"] if name != "dev"]


def pins(text: str) -> Pins:
    """Return what a lock says of each package."""
    return {found["name"]: found[0] for found in _BLOCK.finditer(text)}


def compiled(uv: str, *asked: str, said: str | None = None) -> Pins:
    """Return the exact versions and hashes that a requirement leads to."""
    command = [
        *(uv, "pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate"),
        *("--python-version", PYTHON, "--python-platform", "linux"),
        *("--constraint", "constraints.txt", *asked),
    ]
    ended = subprocess.run(
        command, cwd=REPOSITORY, input=said, stdout=subprocess.PIPE, text=True, check=True
    )
    return pins(ended.stdout)


def normalized(line: str) -> str:
    """Return `name==version` with the name as indexes compare it (PEP 503)."""
    name, _, version = line.partition("==")
    return f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}"


def constraints() -> set[str]:
    """Return the exact versions of constraints.txt, normalized."""
    return {normalized(each) for each in (REPOSITORY / "constraints.txt").read_text().split()}


def exact(text: str) -> str:
    """Return the `name==version` of what a lock says of a package."""
    return normalized(text.split(maxsplit=1)[0])


def write(name: str, found: Pins) -> None:
    """Write one lock. Raises SystemExit for a version that constraints.txt does not have."""
    if missing := sorted({exact(text) for text in found.values()} - constraints()):
        sys.exit(f"{name}: add to constraints.txt: {', '.join(missing)}")
    (LOCKS / f"{name}.txt").write_text("".join(found.values()))


def main(uv: str) -> None:
    """Write every lock."""
    LOCKS.mkdir(exist_ok=True)
    base = compiled(uv, "pyproject.toml")
    write("base", base)
    for extra in extras():
        found = compiled(uv, "pyproject.toml", "--extra", extra)
        write(extra, {name: text for name, text in found.items() if name not in base})
    configuration = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    write("build", compiled(uv, "-", said="\n".join(configuration["build-system"]["requires"])))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uv", default="uv", help="the program uv")
    main(parser.parse_args().uv)
