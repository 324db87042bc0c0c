"""Input that is drawn: JSON of any shape, and something else planted into what is valid."""

import os
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, TypeAlias

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

TIMES = int(os.environ.get("WAYBILL_TEST_FUZZ_TIMES", "1"))
"""As many times the examples of `make test`; `make fuzz` sets it."""

Path: TypeAlias = tuple[str | int, ...]

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["", "\ud800", "\0", "data:,", "https://", "file_", "a" * 5000, -0.0, 2**63]),
)
JUNK = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def fuzzed(examples: int) -> settings:
    """Return the settings of a test with so many examples in `make test`.

    These are the same in every run; those of `make fuzz` are others each time.
    """
    return settings(
        max_examples=examples * TIMES,
        deadline=None,
        database=None,
        derandomize=TIMES == 1,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


@st.composite
def planted(draw: st.DrawFn, valid: Any) -> Any:
    """Draw the valid value with up to three parts replaced or left out."""
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(_paths(valid))))
        valid = _with(valid, path, draw(JUNK), dropped=draw(st.booleans()))
    return valid


@st.composite
def mutated(draw: st.DrawFn, valid: bytes) -> bytes:
    """Draw the valid bytes with a few spans removed, repeated or overwritten."""
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(valid)))
        end = min(len(valid), start + draw(st.integers(0, 60)))
        span = draw(st.sampled_from([b"", valid[start:end] * 2]) | st.binary(max_size=12))
        valid = valid[:start] + span + valid[end:]
    return valid


@st.composite
def cut(draw: st.DrawFn, whole: bytes) -> list[bytes]:
    """Draw the pieces in which bytes arrive."""
    places = draw(st.lists(st.integers(0, len(whole)), max_size=8))
    marks = [0, *sorted(places), len(whole)]
    return [whole[start:end] for start, end in pairwise(marks)]


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from _paths(value[key], (*path, key))


def _with(value: Any, path: Path, junk: Any, *, dropped: bool) -> Any:
    if not path:
        return junk
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1 and dropped:
        del copy[path[0]]
    else:
        copy[path[0]] = _with(copy[path[0]], path[1:], junk, dropped=dropped)
    return copy
