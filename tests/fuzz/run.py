"""Run the fuzz tests again and again, with other examples each time, for so many minutes."""

import argparse
import os
import random
import subprocess
import sys
import time

from tests.installation import REPOSITORY

TIMES = 5


def main() -> int:
    """Return 0 where nothing was found; the seed of what was is printed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2)
    end = time.monotonic() + 60 * parser.parse_args().minutes
    rounds = 0
    while not rounds or time.monotonic() < end:
        seed = random.randrange(2**32)
        print(f"round {rounds + 1}: WAYBILL_TEST_FUZZ_TIMES={TIMES} --hypothesis-seed={seed}")
        command = [sys.executable, "-m", "pytest", "-q", "-x", f"--hypothesis-seed={seed}"]
        environment = {**os.environ, "WAYBILL_TEST_FUZZ_TIMES": str(TIMES)}
        status = subprocess.call([*command, "tests/fuzz"], cwd=REPOSITORY, env=environment)
        if status:
            return status
        rounds += 1
    print(f"{rounds} rounds, nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
