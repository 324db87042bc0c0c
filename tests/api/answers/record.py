"""Record the API reference's examples anew: `make examples`."""

import json
import shutil
from collections import defaultdict

from api.openapi import EXAMPLES
from tests.api.answers.documented import OPERATIONS
from tests.api.answers.scenario import answers
from tests.api.answers.walking import Answers


def record() -> None:
    """Walk through an installation and write what it answered, a file for each tag."""
    by_tag: dict[str, Answers] = defaultdict(dict)
    for operation, answered in answers().items():
        by_tag[OPERATIONS[operation]["tags"][0]][operation] = answered
    shutil.rmtree(EXAMPLES, ignore_errors=True)
    EXAMPLES.mkdir()
    for tag, recorded in by_tag.items():
        text = json.dumps(recorded, indent=1, ensure_ascii=False)
        (EXAMPLES / f"{tag}.json").write_text(text + "\n")


if __name__ == "__main__":
    record()
