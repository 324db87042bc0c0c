"""The decorator of small immutable objects, of which every call makes many."""

from dataclasses import dataclass
from typing import Any, TypeVar, dataclass_transform

Class = TypeVar("Class", bound=type[Any])


@dataclass_transform(frozen_default=True)
def immutable(cls: Class) -> Class:
    """Return the class as a dataclass with slots that the type checker does not let change.

    `dataclass(frozen=True)` also refuses changes at run time. For that its `__init__` sets each
    field through `object.__setattr__`, which takes several times as long.
    """
    made: Any = dataclass(slots=True, unsafe_hash=True)(cls)
    return made  # type: ignore[no-any-return]
