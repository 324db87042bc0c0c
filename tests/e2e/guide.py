"""The code samples of a guide, taken out of its text and made to run against an installation.

Texts of guides lose their indentation when they are copied; it is put back from the syntax.
"""

import re
import textwrap
from collections.abc import Iterator

STARTS = ("import ", "from ", "data = ", "payload = ", "const ", "pdf_base64 = ")
OPENROUTER = "https://openrouter.ai/api/v1"
OPENING, CLOSING = "([{", ")]}"


def samples(text: str) -> list[str]:
    """Return the code samples of a guide: runs of lines that begin like one and stay code."""
    found: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        lines = block.strip("\n").split("\n")
        if len(lines) > 2 and lines[0].startswith(STARTS):
            found.append("\n".join(lines))
    return found


def indented(sample: str) -> str:
    """Put the indentation of a flattened Python sample back.

    A line that ends in a colon outside brackets opens a block. A block of `def` ends at the line
    that calls the function; one of `if`, `for`, `try` at the words that follow it.
    """
    return "\n".join(_indented(sample.split("\n")))


def _indented(lines: list[str]) -> Iterator[str]:
    blocks: list[str] = []  # the words that opened the blocks we are in
    depth = 0  # of brackets
    names: set[str] = set()  # functions
    for line in lines:
        word = re.match(r"\w*", line.strip())
        assert word is not None
        if depth == 0:
            blocks = _closed(blocks, word.group(), line, names)
        yield "    " * (len(blocks) + (depth > 0)) + line.strip()
        code = re.sub(r"f?\"[^\"]*\"|'[^']*'|#.*", "", line)
        depth += sum(map(code.count, OPENING)) - sum(map(code.count, CLOSING))
        if depth == 0 and code.rstrip().endswith(":"):
            blocks.append(word.group())
            if word.group() == "def":
                names.add(line.split()[1].split("(")[0])


def _closed(blocks: list[str], word: str, line: str, names: set[str]) -> list[str]:
    """Return the blocks that a line is still in."""
    ends = {"else": {"if", "for", "try"}, "elif": {"if"}, "except": {"try"}, "finally": {"try"}}
    if word in ends:
        while blocks and blocks[-1] not in ends[word]:
            blocks = blocks[:-1]
        return blocks[:-1]
    is_call = any(re.fullmatch(rf"{name}\(\)", line.strip()) for name in names)
    return [] if is_call or line.startswith("# Run it") else blocks


def pointed_at(sample: str, base_url: str, key: str, models: dict[str, str]) -> str:
    """Change base URL, key and models of a sample, and nothing else."""
    quoted = re.sub(rf"= {re.escape(OPENROUTER)}$", f'= "{OPENROUTER}"', sample, flags=re.MULTILINE)
    changed = quoted.replace(OPENROUTER, base_url)
    changed = re.sub(r"your-api-key(-here)?", key, changed)
    for name, model in models.items():
        changed = changed.replace(f'"{name}"', f'"{model}"')
    return textwrap.dedent(changed)
