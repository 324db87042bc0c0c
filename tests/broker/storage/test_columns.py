from typing import Protocol

import pytest

from broker.storage.tables import Job, columns, table


class Right(Protocol):
    id: str
    attempts_used: int
    ended_at: int | None
    stream: bool


class Wrong(Protocol):
    id: int


class WrongOrNone(Protocol):
    ended_at: str | None


def test_the_columns_of_a_row_are_those_it_declares():
    assert [column.name for column in columns(Right, table(Job))] == [
        "id",
        "attempts_used",
        "ended_at",
        "stream",
    ]


@pytest.mark.parametrize("row", [Wrong, WrongOrNone])
def test_a_row_that_declares_another_type_than_its_column_is_refused(row):
    with pytest.raises(TypeError, match=f"{row.__name__}\\."):
        columns(row, table(Job))
