"""The prices of models."""

from flask import current_app


def find_cost(model: str | None, prompt_tokens: int | None, completion_tokens: int | None) -> int | None:
    """Return the cost of an answer in millionths of a dollar, rounded up, or None for a model without a known price.

    A price of one dollar for a million tokens is a millionth for each.
    """
    price = current_app.config["MODEL_PRICES"].get(model)
    if price is None or prompt_tokens is None or completion_tokens is None:
        return None
    return -int(-(prompt_tokens * price[0] + completion_tokens * price[1]) // 1)
