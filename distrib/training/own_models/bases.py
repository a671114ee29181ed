"""The classes of users' models, with a base that does what `Model` leaves open."""

from __future__ import annotations

_bases: dict[tuple[type, type], type] = {}


def based_on(cls: type, base: type) -> type:
    """The class of a user, with a base that does what `Model` leaves open."""
    made = _bases.get((cls, base))
    if made is None:
        names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
        made = _bases[cls, base] = type(cls)(cls.__name__, (cls, base), names)
        made.own_class = cls  # type: ignore[attr-defined]
    return made


def own_class(cls: type) -> type:
    """The class of a user, of one that `based_on` has returned."""
    found: type = getattr(cls, "own_class", cls)
    return found
