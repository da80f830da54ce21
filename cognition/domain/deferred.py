"""Values that are worked out only if somebody looks at them.

A cached answer is checked when it is found, but most of what it says is read later, in another thread or by nobody: a
batch of a thousand hits would spend most of its time on objects that are dropped unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

Later = Callable[[str], Mapping[str, Any]]
"""Told which field is read, returns it by name, and with it what costs no more; cannot fail."""


class Deferred:
    """A frozen dataclass with slots, whose fields may be worked out when they are read.

    Nobody can tell the difference: comparing, copying and pickling read the fields as well.
    """

    __slots__ = ("_later",)

    @classmethod
    def deferred(cls, later: Later, **now: Any) -> Self:
        """Return an instance without making all of it.

        Args:
            later: Gives the other fields. Called again if two threads come at once, so it must return the same.
            **now: Fields that are known.
        """
        made = cls.__new__(cls)
        keep = object.__setattr__  # the class is frozen
        keep(made, "_later", later)
        for name, value in now.items():
            keep(made, name, value)
        return made

    def __getattr__(self, name: str) -> Any:
        """Work out the fields; Python asks only for what is not there."""
        if name == "_later" or name not in type(self).__slots__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
        for field, value in self._later(name).items():
            object.__setattr__(self, field, value)
        return object.__getattribute__(self, name)
