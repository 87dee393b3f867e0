"""The demand of a turn on budgets: its tokens, and the price of them."""

import math
from dataclasses import dataclass

from . import prices
from .ledger import Settlement
from .prices import Price


@dataclass(frozen=True, slots=True)
class Demand:
    """The need or the use of a turn; `price` is that of its model, or the highest of the possible ones."""

    prompt_tokens: int
    completion_tokens: int
    price: Price
    turns: int = 1

    def measure(self, metric: str) -> int:
        """Return the amount in a budget's metric."""
        if metric == "turns":
            return self.turns
        if metric == "tokens":
            return self.prompt_tokens + self.completion_tokens
        return prices.compute_cost(self.price, self.prompt_tokens, self.completion_tokens)

    def is_within(self, other: "Demand") -> bool:
        """Return whether another demand covers it."""
        tokens = self.prompt_tokens <= other.prompt_tokens and self.completion_tokens <= other.completion_tokens
        return tokens and self.price[0] <= other.price[0] and self.price[1] <= other.price[1]

    def fit(self, metric: str, room: int) -> int:
        """Return the tokens of an answer for which there is room beside the prompt, up to the wanted ones."""
        if metric == "turns":
            return self.completion_tokens if self.turns <= room else 0
        if metric == "tokens":
            return max(0, min(self.completion_tokens, room - self.prompt_tokens))
        left = room - self.prompt_tokens * self.price[0]
        if left < 0:
            return 0
        return (
            min(self.completion_tokens, math.floor(left / self.price[1])) if self.price[1] else self.completion_tokens
        )


def find_use(settlement: Settlement) -> Demand | None:
    """Return the use of a turn; None where the model's server told no tokens of its answer."""
    if settlement.model is not None and (settlement.prompt_tokens is None or settlement.completion_tokens is None):
        return None
    price = prices.find_price((settlement.model, settlement.requested_model)) or prices.UNKNOWN
    return Demand(settlement.prompt_tokens or 0, settlement.completion_tokens or 0, price)
