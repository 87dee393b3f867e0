"""How far the index of the history has followed, in files beside it: of the database and of each user."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

import orjson

from chatbot.rag.errors import IndexLocked
from chatbot.rag.lexical.history import HistoryIndex

from .feed import Head

USERS = 500  # in one reading


@dataclass(frozen=True, slots=True)
class State:
    """The followed database by its epoch, and the purge up to a time; `generation` names this index."""

    generation: str
    epoch: UUID
    purged_before: datetime | None
    version: int = HistoryIndex.version


def make_state(head: Head) -> State:
    """Return the state of an index that begins anew."""
    return State(str(uuid4()), head.epoch, head.purged_before)


def fits(state: State, head: Head) -> bool:
    """Return whether an index is of this database, and its terms are made as they are now."""
    return state.epoch == head.epoch and state.version == HistoryIndex.version


class Progress:
    """The files in a folder; each is replaced as a whole."""

    def __init__(self, folder: Path) -> None:
        self._state = folder / "state.json"
        self._positions = folder / "positions"
        self._lock = folder / "writer.lock"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock of the process that writes; raises IndexLocked while another one holds it."""
        self._positions.mkdir(parents=True, exist_ok=True)
        with self._lock.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise IndexLocked from error
            yield

    def read_state(self) -> State | None:
        """Return the state, None where there is none or it cannot be read."""
        try:
            found = orjson.loads(self._state.read_bytes())
            purged = found["purged_before"]
            return State(
                generation=str(found["generation"]),
                epoch=UUID(found["epoch"]),
                purged_before=datetime.fromisoformat(purged) if purged else None,
                version=int(found["version"]),
            )
        except (OSError, KeyError, TypeError, ValueError):
            return None

    def write_state(self, state: State) -> None:
        """Keep the state."""
        _replace(self._state, orjson.dumps(asdict(state)))

    def read_position(self, user_id: UUID) -> int | None:
        """Return the position of a user's last change that was followed, None before their first search."""
        try:
            return int(self._path(user_id).read_bytes())
        except (OSError, ValueError):
            return None

    def write_position(self, user_id: UUID, position: int) -> None:
        """Keep the position of a user's last change that was followed."""
        _replace(self._path(user_id), str(position).encode())

    def remove_position(self, user_id: UUID) -> None:
        """Forget a user."""
        self._path(user_id).unlink(missing_ok=True)

    def list_users(self) -> Iterator[list[UUID]]:
        """Yield the users that are followed, some at a time."""
        names = [path.name for path in self._positions.glob("*") if not path.suffix] if self._positions.exists() else []
        for start in range(0, len(names), USERS):
            yield [UUID(name) for name in names[start : start + USERS]]

    def clear(self) -> None:
        """Forget all: the state first, so that a half of it counts as none."""
        self._state.unlink(missing_ok=True)
        for path in self._positions.glob("*"):
            path.unlink(missing_ok=True)

    def _path(self, user_id: UUID) -> Path:
        return self._positions / user_id.hex


def _replace(path: Path, data: bytes) -> None:
    draft = path.with_suffix(".draft")
    draft.write_bytes(data)
    draft.replace(path)
