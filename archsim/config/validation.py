"""A document against a configuration model: every problem at once, in the words of the file."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from archsim.config.document import Document, Position
from archsim.config.fields import (
    Place,
    dotted_keys,
    expected,
    field_places,
    inner_place,
    place_of,
    tagged_members,
)
from archsim.errors import InvalidInput, Problem, did_you_mean

Model = TypeVar("Model", bound=BaseModel)
_SHOWN_CHARACTERS = 40
_BELONGS_TO_VALUE = ("value_error", "assertion_error")
_LENGTHS = {"too_short": ("min_length", "at least"), "too_long": ("max_length", "at most")}


def validate(model: type[Model], document: Document, earlier: Sequence[Problem] = ()) -> Model:
    """The checked, frozen model of a document.

    earlier: problems found on the way here, listed together with those of the model.
    Raises InvalidInput: one problem for each unknown key, missing key and value that does not fit, with file:line:col
    and, for words that are near an allowed one, a hint.
    """
    try:
        checked = model.model_validate(document.data)
    except ValidationError as error:
        found = [_problem(model, document, details) for details in error.errors(include_url=False)]
        found.sort(key=lambda entry: _order(document, entry[0]))
        raise InvalidInput(dict.fromkeys([*earlier, *(problem for _, problem in found)])) from None
    if earlier:
        raise InvalidInput(earlier)
    return checked


def _order(document: Document, position: Position) -> tuple[bool, bool, str, int, int]:
    """Overrides first, then the file, line by line, then the files that it extends."""
    if not position.line:
        return False, False, "", 0, 0
    return True, position.source != str(document.path), position.source, position.line, position.column


def _problem(model: type[BaseModel], document: Document, details: ErrorDetails) -> tuple[Position, Problem]:
    path, place, parent = _locate(model, document, details)
    key = ".".join(path)
    kind, context = details["type"], details.get("ctx", {})
    mark = document.mark(path)
    position = mark.value
    if kind == "extra_forbidden":
        position, message, hint = mark.key, "unknown key", _unknown_key_hint(model, parent, path)
    elif kind in ("missing", "union_tag_not_found"):
        message = f"missing, expected {expected(place)}"
        hint = ""
    else:
        value = _value(document, path)
        message = f"found {show(value)}, expected {expected(place)}"
        hint = _value_hint(value, place, parent, path)
        if kind in _BELONGS_TO_VALUE:
            message, hint = str(context.get("error", details["msg"])), ""
        elif kind in _LENGTHS:
            bound, words = _LENGTHS[kind]
            message = f"found {len(value)} entries, expected {words} {context[bound]}"
    return position, Problem(str(position), key, message, hint)


def _locate(
    model: type[BaseModel], document: Document, details: ErrorDetails
) -> tuple[tuple[str, ...], Place, Place]:
    """(path in the file, what belongs there, what belongs around it)."""
    path: list[str] = []
    place = parent = place_of(model)
    data: Any = document.data
    location: list[str | int] = list(details["loc"])
    if details["type"] in ("union_tag_not_found", "union_tag_invalid"):
        location.append(details["ctx"]["discriminator"].strip("'"))
    for part in location:
        if isinstance(part, int) and not isinstance(data, list):
            continue  # a single number stands for a pair: both halves are the same text
        if place.discriminator == part:
            inner, is_step = _tag_place(place), True
        else:
            inner, is_step = inner_place(place, part)
        if is_step:
            path.append(str(part))
            parent = place
            data = _child(data, part)
        place = inner
    return tuple(path), place, parent


def _tag_place(place: Place) -> Place:
    """The key that tells the members of a union apart holds one of their tags."""
    return Place(Literal.__getitem__(tuple(tagged_members(place))))


def _child(data: Any, part: str | int) -> Any:
    if isinstance(data, dict):
        return data.get(part)
    return data[part] if isinstance(data, list) and isinstance(part, int) and part < len(data) else None


def _value(document: Document, path: Sequence[str]) -> Any:
    data: Any = document.data
    for part in path:
        data = _child(data, int(part) if isinstance(data, list) else part)
    return data


def _unknown_key_hint(model: type[BaseModel], parent: Place, path: tuple[str, ...]) -> str:
    """A near key of the same mapping, else the same key elsewhere in the file, else all keys allowed here."""
    if parent.model is None:
        return ""
    hint = did_you_mean(path[-1], field_places(parent.model))
    if not hint.startswith("allowed"):
        return hint
    by_name = {key.rpartition(".")[2]: key for key in dotted_keys(model)}
    near = difflib.get_close_matches(path[-1], by_name, n=1, cutoff=0.8)
    return f'did you mean "{by_name[near[0]]}"?' if near else hint


def _value_hint(value: Any, place: Place, parent: Place, path: tuple[str, ...]) -> str:
    allowed = [text for text in _literals(place) if isinstance(text, str)]
    if isinstance(value, str) and difflib.get_close_matches(value, allowed, n=1):
        return did_you_mean(value, allowed)
    if parent.model is not None and path and path[-1] not in field_places(parent.model):
        # A model with free keys (exits.<name>) takes a misspelt field for one of them.
        hint = did_you_mean(path[-1], field_places(parent.model))
        return hint if not hint.startswith("allowed") else ""
    return ""


def _literals(place: Place) -> tuple[Any, ...]:
    return get_args(place.type) if get_origin(place.type) is Literal else ()


def show(value: Any) -> str:
    """A value as a message quotes it.

    >>> show("row"), show(True), show(None), show([1, 2])
    ('"row"', 'true', 'null', 'a list')
    """
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
