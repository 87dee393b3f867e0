"""Statements that each chat runs, compiled once for each kind of database.

What SQLAlchemy does anew for each execution (the key of its cache, the parameters) took a seventh of a chat request.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, InvalidRequestError

Processor = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Form:
    """A statement as a driver takes it: the text, and its parameters in order with their processors."""

    text: str
    parameters: tuple[tuple[str, Processor | None], ...]
    fixed: Mapping[str, Any]
    is_positional: bool


class Prepared:
    """A statement of SQLAlchemy Core, to be run again and again with values of the same names."""

    def __init__(self, statement: sa.Executable) -> None:
        self._statement = statement
        self._forms: dict[str, _Form] = {}

    def run(self, connection: sa.Connection, values: Mapping[str, Any]) -> sa.CursorResult[Any]:
        """Execute it; rows hold the driver's own values. Raises the errors of `Connection.execute`.

        The first run says which columns an INSERT or UPDATE sets; a name that is missing later is a KeyError.
        """
        return connection.exec_driver_sql(*self._bind(connection, values))

    def execute(self, connection: sa.Connection, values: Mapping[str, Any]) -> None:
        """Execute it without a result, in a transaction that has begun. Raises the errors of `Connection.execute`.

        On SQLite the driver executes it: SQLAlchemy's context and result take more than half of a statement's time.
        """
        dialect = connection.dialect
        if dialect.name != "sqlite":
            self.run(connection, values)
            return
        text, parameters = self._bind(connection, values)
        driver: Any = connection.connection.driver_connection
        base: type[Exception] = driver.Error
        if not driver.in_transaction:  # it would be committed by itself
            raise InvalidRequestError("No transaction has begun.")
        try:
            driver.execute(text, parameters)
        except base as error:
            raise DBAPIError.instance(text, parameters, error, base, hide_parameters=True, dialect=dialect) from error

    def _bind(
        self, connection: sa.Connection, values: Mapping[str, Any]
    ) -> tuple[str, tuple[Any, ...] | dict[str, Any]]:
        """Return the statement's text, and its parameters as the driver takes them."""
        form = self._forms.get(connection.dialect.name) or self._compile(connection.dialect, values)
        known = {**form.fixed, **values}
        bound = [(name, known[name] if process is None else process(known[name])) for name, process in form.parameters]
        return form.text, tuple(value for _, value in bound) if form.is_positional else dict(bound)

    def _compile(self, dialect: sa.Dialect, values: Mapping[str, Any]) -> _Form:
        element: Any = self._statement
        compiled = element.compile(dialect=dialect, column_keys=list(values))
        binds = compiled.binds
        names = compiled.positiontup if compiled.positional else list(compiled.bind_names.values())
        parameters = tuple((name, _processor(binds[name].type, dialect)) for name in names)
        fixed = {name: binds[name].value for name in names if not binds[name].required}
        form = self._forms[dialect.name] = _Form(str(compiled), parameters, fixed, bool(compiled.positional))
        return form


def _processor(kind: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> Processor | None:
    return kind.dialect_impl(dialect).bind_processor(dialect)
