"""What a configuration model says about one place: which keys there are and which values, in words."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

_PATTERNS = {
    "^[A-Za-z][A-Za-z0-9_-]{0,63}$": "a name (a letter, then at most 63 letters, digits, _ or -)",
    r"^[A-Za-z][A-Za-z0-9_-]{0,63}(\.[A-Za-z][A-Za-z0-9_-]{0,63})?$": "a name, or two joined by a point",
}


@dataclass(frozen=True)
class Place:
    """A type without its wrapping. ``discriminator`` is the key by which a union of models is told apart."""

    type: Any
    metadata: tuple[Any, ...] = ()
    discriminator: str | None = None
    nullable: bool = False

    @property
    def model(self) -> type[BaseModel] | None:
        """The model, where the place holds one."""
        return self.type if isinstance(self.type, type) and issubclass(self.type, BaseModel) else None

    @property
    def members(self) -> tuple[Any, ...]:
        """Alternatives of a union; empty for anything else."""
        return get_args(self.type) if get_origin(self.type) in (Union, types.UnionType) else ()


def place_of(annotation: Any, metadata: tuple[Any, ...] = (), discriminator: str | None = None) -> Place:
    """Unwrap ``Annotated`` and ``| None``."""
    nullable = False
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            for extra in more:
                metadata += tuple(extra.metadata) if isinstance(extra, FieldInfo) else (extra,)
                discriminator = discriminator or _discriminator(extra)
            continue
        members = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else ()
        if type(None) not in members:
            return Place(annotation, metadata, discriminator, nullable)
        nullable = True
        left = tuple(member for member in members if member is not type(None))
        annotation = left[0] if len(left) == 1 else Union[left]  # noqa: UP007 (built at run time)


def _discriminator(extra: object) -> str | None:
    found = extra.discriminator if isinstance(extra, FieldInfo) else None
    return found if isinstance(found, str) else None


def field_places(model: type[BaseModel]) -> dict[str, Place]:
    """Places of a model's fields by the keys that a file uses."""
    return {
        info.alias or name: place_of(info.annotation, tuple(info.metadata), _discriminator(info))
        for name, info in model.model_fields.items()
    }


def extra_place(model: type[BaseModel]) -> Place | None:
    """Place of keys beyond the fields; None where the model forbids them."""
    if model.model_config.get("extra") != "allow":
        return None
    values = get_args(get_type_hints(model, include_extras=True).get("__pydantic_extra__"))
    return place_of(values[1]) if len(values) == 2 else Place(Any)


def tagged_members(place: Place) -> dict[str, type[BaseModel]]:
    """Models of a union by the value of the key that tells them apart."""
    tagged: dict[str, type[BaseModel]] = {}
    for member in place.members if place.discriminator else ():
        annotation = member.model_fields[place.discriminator].annotation
        tagged.update({str(tag): member for tag in get_args(annotation)})
    return tagged


def inner_place(place: Place, part: str | int) -> tuple[Place, bool]:
    """One step of the location of an error: (place, whether the step is one in the file).

    The validator's locations also name the member of a union that it tried; that is no step in the file.
    """
    if place.model is not None:
        return field_places(place.model).get(str(part)) or extra_place(place.model) or Place(Any), True
    if place.members:
        tagged = tagged_members(place)
        named = {getattr(member, "__name__", str(member)): member for member in place.members}
        return place_of(tagged.get(str(part), named.get(str(part), Any))), False
    arguments = get_args(place.type)
    if get_origin(place.type) is dict:
        return place_of(arguments[1]), part != "[key]"
    if get_origin(place.type) in (list, tuple) and isinstance(part, int):
        is_fixed = part < len(arguments) and arguments[-1] is not Ellipsis
        return place_of(arguments[part if is_fixed else 0]), True
    return Place(Any), isinstance(part, int)


def dotted_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted keys of all single values that can be set, without those inside lists.

    >>> from archsim.config.arch import BranchUnitSpec
    >>> list(dotted_keys(BranchUnitSpec, "branch_unit."))[0]
    'branch_unit.macs'
    """
    for key, place in field_places(model).items():
        if place.model is not None:
            yield from dotted_keys(place.model, f"{prefix}{key}.")
        else:
            yield prefix + key


def expected(place: Place) -> str:
    """Which values fit, in words.

    >>> from archsim.config.arch import PeArraySpec
    >>> expected(field_places(PeArraySpec)["rows"])
    'an integer from 1 to 1024'
    >>> expected(field_places(PeArraySpec)["zero"])
    '"none", "gate" or "skip"'
    """
    return _expected(place) + (" or null" if place.nullable else "")


def _expected(place: Place) -> str:
    origin, arguments = get_origin(place.type), get_args(place.type)
    if origin is Literal:
        return one_of(arguments)
    if place.discriminator:
        return f"a mapping with {place.discriminator}: {', '.join(tagged_members(place))}"
    if place.members:
        return " or ".join(_expected(place_of(member)) for member in place.members)
    if origin in (tuple, list):
        count = "2 or 4" if arguments[-1] is Ellipsis else str(len(arguments)) if origin is tuple else ""
        return _expected_entries(place, place_of(arguments[0]), count)
    if place.model is not None or origin is dict:
        return "a mapping"
    return _expected_scalar(place)


def _expected_entries(place: Place, entry: Place, count: str) -> str:
    """count: entries of a tuple (of padding either of two), "" for a list of any length."""
    takes_single_value = any(isinstance(extra, BeforeValidator) for extra in place.metadata)
    if takes_single_value:
        return f"{_expected(entry)}, or a list of {count or 'them'}"
    return (
        f"a list of {count}, each {_expected(entry)}" if count else f"a list, each entry {_expected(entry)}"
    )


def _expected_scalar(place: Place) -> str:
    if place.type is str:
        patterns = [getattr(extra, "pattern", None) for extra in place.metadata]
        found = next((pattern for pattern in patterns if pattern), None)
        return _PATTERNS.get(found, f"text that matches {found}") if found else "text"
    words = {int: "an integer", float: "a number", bool: "true or false"}
    name = words.get(place.type, getattr(place.type, "__name__", "another value"))
    bounds = {type(extra): getattr(extra, type(extra).__name__.lower(), None) for extra in place.metadata}
    low = f"from {bounds[Ge]}" if Ge in bounds else f"above {bounds[Gt]}" if Gt in bounds else ""
    high = f"to {bounds[Le]}" if Le in bounds else f"below {bounds[Lt]}" if Lt in bounds else ""
    if low and not high:
        high = "up" if Ge in bounds else ""
    if high and not low:
        high = f"up {high}" if Le in bounds else high
    return " ".join(part for part in (name, low, high) if part)


def one_of(values: tuple[Any, ...]) -> str:
    """Allowed values as a sentence lists them.

    >>> one_of((4, 8, 16))
    '4, 8 or 16'
    """
    shown = [f'"{value}"' if isinstance(value, str) else str(value) for value in values]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"
