"""Helpers of tests of `waybill run`: the process and its output."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.installation import KEY, REPOSITORY, Installation

QUICK = "sim/sim-echo"


def start(installation: Installation, source: Path, *words: str) -> subprocess.Popen[str]:
    command = ["-m", "cli", "run", source, "-m", QUICK, "-o", output_of(source), *words]
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=REPOSITORY,
        env=os.environ | {"WAYBILL_URL": installation.root, "WAYBILL_API_KEY": KEY},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output_of(source: Path) -> Path:
    return source.with_suffix(".results")


def written(source: Path) -> dict[str, dict]:
    """The results that are on the disk, by custom_id; whole lines only."""
    path = output_of(source)
    texts = path.read_text().split("\n")[:-1] if path.exists() else []
    found = [json.loads(text) for text in texts]
    assert max(Counter(each["line"] for each in found).values(), default=0) < 2
    return {each["custom_id"]: each for each in found}


def batch_of(source: Path) -> str | None:
    """The batch that the run's state names, if there is one already."""
    path = source.with_suffix(".results.run")
    return json.loads(path.read_text())["parts"][-1]["batch_id"] if path.exists() else None
