"""`python -m workers.simulator --host 127.0.0.1 --port 9100`."""

import argparse

from workers.simulator.app import serve


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m workers.simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9100)
    arguments = parser.parse_args()
    serve(arguments.host, arguments.port)


if __name__ == "__main__":
    main()
