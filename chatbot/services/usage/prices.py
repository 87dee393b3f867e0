"""The prices of models."""

import math
from collections.abc import Sequence
from decimal import Decimal

from flask import current_app


def find_cost(models: Sequence[str | None], prompt_tokens: int | None, completion_tokens: int | None) -> int | None:
    """Return the cost of an answer in millionths of a dollar, rounded up, or None without a known price.

    `models` are the names of its model, of which the first one with a price counts: servers report dated names
    (`gpt-4o-mini-2024-07-18`). A price of one dollar for a million tokens is a millionth for each.
    """
    prices: dict[str | None, tuple[Decimal, Decimal]] = current_app.config["MODEL_PRICES"]
    price = next((prices[model] for model in models if model in prices), None)
    if price is None or prompt_tokens is None or completion_tokens is None:
        return None
    return math.ceil(prompt_tokens * price[0] + completion_tokens * price[1])
