"""Typed metadata of documents, and filters on it: `{"year": {"gte": 2020}, "tag": "policy"}`."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.errors import InvalidInput
from chatbot.models import Document, DocumentFact

MAX_TEXT_LENGTH = 500
MAX_NAME_LENGTH = 64
LARGEST = 1e300
LARGEST_INTEGER = 2**53 - 1  # beyond it JSON's readers disagree (RFC 7493, 2.2)
MAX_FACTS = 100
MAX_CONDITIONS = 20
MAX_VALUES = 1_000  # that all of them name
COMPARISONS = {"gt": "__gt__", "gte": "__ge__", "lt": "__lt__", "lte": "__le__"}
Scalar = str | float | bool


def check(details: dict[str, Any]) -> dict[str, Any]:
    """Return metadata that can be filtered: names with a text, number, truth value, or a list of those.

    Raises InvalidInput.
    """
    count = sum(len(value) if isinstance(value, list) else 1 for value in details.values())
    if count > MAX_FACTS:
        raise InvalidInput({"metadata": [f"Has more than {MAX_FACTS} values."]})
    for name, value in details.items():
        if not 1 <= len(name) <= MAX_NAME_LENGTH:
            raise InvalidInput({"metadata": [f"Names have 1 to {MAX_NAME_LENGTH} characters."]})
        if not all(_is_scalar(one) for one in (value if isinstance(value, list) else [value])):
            hint = f"Must be a text of up to {MAX_TEXT_LENGTH} characters, a number, true, false, or a list of those."
            raise InvalidInput({f"metadata.{name}": [hint]})
    return details


def facts(document_id: UUID, details: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a document's metadata."""
    return [
        {"document_id": document_id, "name": name, "position": position} | _typed(one)
        for name, value in details.items()
        for position, one in enumerate(value if isinstance(value, list) else [value])
    ]


def condition(wanted: dict[str, Any]) -> sa.ColumnElement[bool]:
    """Compile a filter to a condition on `documents`; raises InvalidInput for an invalid one."""
    if len(wanted) > MAX_CONDITIONS:
        raise InvalidInput({"filter": [f"Has more than {MAX_CONDITIONS} conditions."]})
    tests = [(name, test) for name, given in wanted.items() for test in _tests(name, given)]
    values = sum(len(value) if isinstance(value, list) else 1 for _, (_, value) in tests)
    if len(tests) > MAX_CONDITIONS or values > MAX_VALUES:
        raise InvalidInput({"filter": [f"Has more than {MAX_CONDITIONS} conditions or {MAX_VALUES:,} values."]})
    parts = [_one(name, test) for name, test in tests]
    return sa.and_(sa.true(), *parts)


def _tests(name: str, given: Any) -> list[tuple[str, Any]]:
    if not isinstance(given, dict):
        return [("in", given if isinstance(given, list) else [given])]
    known = {*COMPARISONS, "eq", "ne", "in"}
    if not given or given.keys() - known:
        raise _bad(name, f"Knows {', '.join(sorted(known))}.")
    return [(operator, [value] if operator in {"eq", "ne"} else value) for operator, value in given.items()]


def _one(name: str, test: tuple[str, Any]) -> sa.ColumnElement[bool]:
    operator, value = test
    fact = (DocumentFact.document_id == Document.id, DocumentFact.name == name)
    if operator in COMPARISONS:
        if isinstance(value, bool | list | dict) or not _is_scalar(value):
            raise _bad(name, f"{operator} needs a number or a text.")
        column = DocumentFact.text if isinstance(value, str) else DocumentFact.number
        return sa.exists().where(*fact, getattr(column, COMPARISONS[operator])(value))
    if not isinstance(value, list) or not value or not all(map(_is_scalar, value)):
        raise _bad(name, "Needs a text, a number, true or false.")
    kinds: dict[str, list[Any]] = {}
    for one in value:
        for kind, typed in _set(one).items():
            kinds.setdefault(kind, []).append(typed)
    found = sa.exists().where(*fact, sa.or_(*(getattr(DocumentFact, kind).in_(all) for kind, all in kinds.items())))
    return ~found if operator == "ne" else found


def _set(value: Scalar) -> dict[str, Any]:
    return {kind: one for kind, one in _typed(value).items() if one is not None}


def _typed(value: Scalar) -> dict[str, Any]:
    columns: dict[str, Any] = {"text": None, "number": None, "flag": None}
    if isinstance(value, bool):
        return columns | {"flag": value}
    if isinstance(value, str):
        return columns | {"text": value}
    return columns | {"number": float(value)}


def _is_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_TEXT_LENGTH
    if isinstance(value, int):
        return abs(value) <= LARGEST_INTEGER
    return isinstance(value, float) and abs(value) < LARGEST


def _bad(name: str, hint: str) -> InvalidInput:
    return InvalidInput({f"filter.{name}": [hint]})
