"""The index of this host over users' turns and titles: a cache in a folder, which follows `sync_changes`.

It begins with a user's first search and follows them from then on. A file for each user has the position of the last
change that was followed, another one the epoch of the database. What is done twice is the same: a turn is removed
before it is added. One process writes at a time, under a lock on a file, and all read.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import structlog

from chatbot.concurrency.semaphores import RoundRobinSemaphore
from chatbot.concurrency.threads import run_in_own_thread, run_in_thread
from chatbot.errors import Busy
from chatbot.rag.errors import IndexBroken, IndexFailed, IndexLocked
from chatbot.rag.lexical.history import HistoryIndex, IndexedText

from . import feed, progress
from .feed import Head
from .progress import Progress, State

MAX_PIECE_CHARACTERS = 20_000  # that are indexed at a time: searches wait for the same thread
SLICE_SECONDS = 0.2  # seconds in which one user is followed, while others of this process wait
MAX_SLICE_SECONDS = 1.0  # where none of this process waits: those of others do not show
CATCH_UP_SECONDS = 3.0  # seconds of a request in which the index may catch up: a few slices of others
POLL_SECONDS = 0.02
YIELD_SECONDS = 2 * POLL_SECONDS  # seconds between two slices, in which other processes find the lock free
MAX_BEHIND = 1_000  # changes without which a search still answers

T = TypeVar("T")

log = structlog.get_logger(__name__)


class HistorySearch:
    """The index and how far it has followed each user."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._progress = Progress(folder)
        self._turns = RoundRobinSemaphore(places=1, per_key=1)
        self._generation: str | None = None
        self._index: HistoryIndex | None = None

    def search(self, user_id: UUID, action: Callable[[HistoryIndex], T]) -> T:
        """Bring the index up to date with a user's turns and titles, and search it.

        Where another process writes the index and is slow, it may be as it was a moment before. Raises Busy while the
        user's history is indexed for the first time, which a job goes on with.
        """

        def follow_and_search() -> T:
            self._catch_up(user_id)
            return run_in_thread(action, self._opened())

        try:
            return self._rebuild_if_broken(follow_and_search)
        except IndexFailed as error:
            raise Busy("The history cannot be searched now; retry later.", retry_after=5) from error

    def follow_all(self) -> bool:
        """Bring the index up to date with all users that have searched, and remove those that are deleted.

        Returns whether it is: where another process writes it, it may be in a moment.
        """
        is_current = True
        pending: deque[UUID] = deque()
        for user_ids in self._progress.list_users():
            heads = {head.user_id: head for head in feed.read_heads(user_ids)}
            pending += [one for one in user_ids if one not in heads or not self._is_up_to_date(heads[one])]
        while pending:
            user_id = pending.popleft()
            if self._follow_further(user_id):
                pending.append(user_id)
            elif self._is_behind(user_id):
                is_current = False
        return is_current

    def _follow_further(self, user_id: UUID) -> bool:
        """Follow a user for a slice; return whether there is more, which no other process follows now."""
        if not self._try_to_write(user_id, CATCH_UP_SECONDS):
            return False
        time.sleep(YIELD_SECONDS)
        return self._is_behind(user_id)

    def _is_behind(self, user_id: UUID) -> bool:
        heads = feed.read_heads([user_id])
        if not heads:
            return self._progress.read_position(user_id) is not None
        return not self._is_up_to_date(heads[0])

    def _catch_up(self, user_id: UUID) -> None:
        """Follow a user's changes for a while, or wait for the process that writes."""
        deadline = time.monotonic() + CATCH_UP_SECONDS
        head = feed.read_heads([user_id])[0]
        is_over = self._is_up_to_date(head)
        while not is_over:
            has_written = self._try_to_write(user_id, max(0.0, deadline - time.monotonic()))
            is_over = self._is_up_to_date(head) or time.monotonic() >= deadline
            if not is_over:
                time.sleep(YIELD_SECONDS if has_written else POLL_SECONDS)
        position = self._progress.read_position(user_id)
        if position is None or head.position - position > MAX_BEHIND:
            raise Busy("Your history is being indexed; search again later.", retry_after=5)

    def _is_up_to_date(self, head: Head) -> bool:
        state = self._progress.read_state()
        if state is None or not progress.fits(state, head) or state.purged_before != head.purged_before:
            return False
        return self._progress.read_position(head.user_id) == head.position

    def _try_to_write(self, user_id: UUID, timeout: float) -> bool:
        """Follow a user's changes for a slice, in turn with this process's other users.

        Returns whether it did, which it does not where another process writes, or the turn does not come in time.
        """
        if not self._turns.acquire(user_id, timeout):
            return False
        try:
            self._rebuild_if_broken(partial(self._write, user_id))
            if self._turns.waiting_count:
                time.sleep(YIELD_SECONDS)  # in which other processes find the lock free
        except IndexLocked:
            return False
        finally:
            self._turns.release(user_id)
        return True

    def _write(self, user_id: UUID) -> None:
        """Follow a user's changes for a slice at most. Raises IndexLocked, IndexBroken."""
        started = time.monotonic()
        with self._progress.lock():
            heads = feed.read_heads([user_id])  # not before: positions never lie ahead of it then
            self._prepare(heads[0] if heads else feed.read_database_head())
            index = self._opened()
            try:
                if heads:
                    self._follow(index, heads[0], started)
                else:
                    self._forget(index, user_id)
            finally:
                with suppress(IndexBroken):
                    run_in_own_thread(index.close)  # waits for segments that are merged

    def _prepare(self, head: Head) -> None:
        """Begin anew for another database or other terms; let the turns go that the purge has deleted since."""
        state = self._progress.read_state()
        if state is None or not progress.fits(state, head):
            self._begin_anew(head)
            return
        if head.purged_before is not None and state.purged_before != head.purged_before:
            index = self._opened()
            run_in_thread(index.remove_turns_before, head.purged_before)
            for user_ids in self._progress.list_users():
                for texts in feed.list_turns_before(head.purged_before, user_ids):
                    run_in_thread(index.remove, "turn", [text.object_id for text in texts])
                    self._add(index, texts)
            run_in_thread(index.commit)
            self._progress.write_state(State(state.generation, head.epoch, head.purged_before))

    def _begin_anew(self, head: Head) -> None:
        self._progress.clear()
        index = run_in_thread(HistoryIndex, self._folder / "index", anew=True)
        run_in_thread(index.commit)
        run_in_thread(index.close)
        self._progress.write_state(progress.make_state(head))

    def _follow(self, index: HistoryIndex, head: Head, started: float) -> None:
        position = self._progress.read_position(head.user_id)
        if position is None or position > head.position:  # or the file of an older database was put in place
            run_in_thread(index.remove, "user", [head.user_id])
            position = 0
        for batch in feed.list_changes(head, position):
            for kind, ids in batch.removed.items():
                run_in_thread(index.remove, kind, ids)
            self._add(index, batch.texts)
            position = batch.position
            if self._is_slice_over(started) and position < head.position:
                break
        else:
            position = head.position
        run_in_thread(index.commit)
        self._progress.write_position(head.user_id, position)

    def _is_slice_over(self, started: float) -> bool:
        seconds = SLICE_SECONDS if self._turns.waiting_count else MAX_SLICE_SECONDS
        return time.monotonic() - started >= seconds

    def _forget(self, index: HistoryIndex, user_id: UUID) -> None:
        run_in_thread(index.remove, "user", [user_id])
        run_in_thread(index.commit)
        self._progress.remove_position(user_id)

    def _add(self, index: HistoryIndex, texts: Iterable[IndexedText]) -> None:
        """Add texts a few at a time: searches wait for the same thread."""
        piece: list[IndexedText] = []
        size = 0
        for item in texts:
            if piece and size + len(item.text) > MAX_PIECE_CHARACTERS:
                run_in_thread(index.add, piece)
                piece = []
                size = 0
            piece.append(item)
            size += len(item.text)
        run_in_thread(index.add, piece)

    def _opened(self) -> HistoryIndex:
        """Return the index, opened again where a process has begun it anew. Raises IndexBroken."""
        state = self._progress.read_state()
        if state is None:
            raise IndexBroken("no state")
        if self._index is None or self._generation != state.generation:
            index = run_in_thread(HistoryIndex, self._folder / "index")
            if index.fresh:
                raise IndexBroken("no index beside its state")
            self._index = index
            self._generation = state.generation
        return self._index

    def _rebuild_if_broken(self, action: Callable[[], T]) -> T:
        """Do something with the index, once more where that shows that it is broken: the tables have all it held."""
        try:
            return action()
        except IndexBroken as error:
            with self._progress.lock():
                state = self._progress.read_state()
                # Where another process has rebuilt it meanwhile, it is opened again.
                if self._index is None or state is None or state.generation == self._generation:
                    log.warning("index of the history rebuilt", folder=str(self._folder), reason=str(error))
                    self._begin_anew(feed.read_database_head())
                self._index = None
            return action()
