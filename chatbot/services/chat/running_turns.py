"""A turn that runs in this process, and the request that it answers."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from chatbot.rag.types import Attempt, CancelToken, Message, PromptInfo
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat.turn_log.port import TurnText

from .audiences import Audience
from .context.conversation_context import ConversationContext
from .grounding import Grounding
from .records import Measurements, OpenedTurn

COALESCE_FROM_TURNS = 8  # that run at a time
DELAY_SECONDS_PER_TURN = 0.0025  # that runs, up to the next one
MAX_UNNOTICED_DELAY_SECONDS = 0.075  # with the upstream's own gaps, text still comes within a tenth of a second
CROWDED_DELAY_SECONDS_PER_TURN = 0.001  # that runs, where that is more
MAX_DELAY_SECONDS = 0.4  # a reader still sees the text grow

StopReason = Literal["cancelled", "interrupted", "lost"]


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A caller's own history or whole prompt, parameters, and the model to ask first."""

    history: Sequence[Message] | None = None  # in place of the conversation's
    following: Sequence[Message] = ()  # after the user's last message
    messages: Sequence[Message] = ()  # sent as they are, without passages
    parameters: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""
    recall: Callable[[int, int], Sequence[str]] | None = None  # in place of the conversation's earlier turns
    audience: Audience | None = None  # the caller alone


class RunningTurn:
    """A turn that runs in this process: its text, its request, how much of it is saved, and how to stop it."""

    def __init__(self, caller: Caller, turn: OpenedTurn, text: TurnText, request: GenerationRequest) -> None:
        self.caller = caller
        self.user_id = caller.user_id
        self.turn = turn
        self.text = text
        self.request = request
        self.grounding = Grounding(
            caller,
            turn.options,
            has_searchable_collections=turn.has_searchable_collections,
            readers=request.audience.users if request.audience else None,
        )
        self.context = ConversationContext(turn)
        self.parameters = {**turn.options.get_parameters(), **request.parameters}
        self.attempts: list[Attempt] = []
        self.prompt_info = PromptInfo()
        self.cancel_token = CancelToken()
        self.opened_at = time.monotonic()
        self.first_text_at: float | None = None  # on the same clock
        self.saved_length = 0  # code points of the text that are in `turn_logs`
        self.is_logged = False  # whether any may be there
        self.stop_reason: StopReason | None = None

    def measure(self) -> Measurements:
        """Return the times of the turn, which ends at this moment."""
        first_text_ms = None if self.first_text_at is None else _to_milliseconds(self.first_text_at - self.opened_at)
        total_ms = _to_milliseconds(time.monotonic() - self.opened_at)
        passages = None if self.prompt_info.query is None else len(self.prompt_info.passages)
        requested_model = self.attempts[-1].model if self.attempts else None
        return Measurements(first_text_ms, total_ms, passages, requested_model)

    def stop(self, reason: StopReason) -> None:
        """End it: the user cancelled, the process ends, or the lease went to another process."""
        self.stop_reason = self.stop_reason or reason
        self.cancel_token.request()


def read_delay(turn: RunningTurn, running_count: int) -> float:
    """Return the seconds that a turn waits before it reads on from its model, with so many turns running.

    Nothing while few turns run, and nothing before its first token. With many, the tokens of each are coalesced, and
    the process has room for the first one of the next. At most twice as long as text has been coming already, so that
    a short answer that comes at once is not put off.
    """
    if running_count < COALESCE_FROM_TURNS or turn.first_text_at is None:
        return 0.0
    unnoticed = min(running_count * DELAY_SECONDS_PER_TURN, MAX_UNNOTICED_DELAY_SECONDS)
    crowded = min(running_count * CROWDED_DELAY_SECONDS_PER_TURN, MAX_DELAY_SECONDS)
    return min(max(unnoticed, crowded), 2 * (time.monotonic() - turn.first_text_at))


def _to_milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
