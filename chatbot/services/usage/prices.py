"""The prices of models."""

import functools
import math
from collections.abc import Iterable, Sequence
from decimal import Decimal

from flask import current_app

Price = tuple[Decimal, Decimal]  # of a token of the prompt and of the answer, in millionths of a dollar
UNKNOWN: Price = (Decimal(1), Decimal(1))  # for budgets: what has no price is not free
SHORT = 1000  # tokens
MAX_LISTED = 1000  # models whose prices are kept


def find_cost(models: Sequence[str | None], prompt_tokens: int | None, completion_tokens: int | None) -> int | None:
    """Return the cost of an answer in millionths of a dollar, rounded up, or None without a known price.

    `models` are the names of its model, of which the first one with a price counts: servers report dated names
    (`gpt-4o-mini-2024-07-18`). A price of one dollar for a million tokens is a millionth for each.
    """
    price = find_price(models)
    if price is None or prompt_tokens is None or completion_tokens is None:
        return None
    return compute_cost(price, prompt_tokens, completion_tokens)


def find_price(models: Sequence[str | None]) -> Price | None:
    """Return the price of the first of a model's names that has one, or None."""
    prices: dict[str | None, Price] = current_app.config["MODEL_PRICES"]
    known = next((prices[model] for model in models if model in prices), None)
    if known is not None or not current_app.config["PRICE_LIST"]:
        return known
    return next((listed for model in models if model and (listed := _find_listed_price(model))), None)


@functools.lru_cache(MAX_LISTED)
def _find_listed_price(model: str) -> Price | None:
    """Return the price of a model by the list of the library `genai-prices`, or None.

    The list tells other prices for long prompts; that of a short one counts.
    """
    from genai_prices import Usage, calc_price  # half a second, where it is wanted

    try:
        found = calc_price(Usage(input_tokens=SHORT, output_tokens=SHORT), model)
    except LookupError:
        return None
    per_token = Decimal(1_000_000) / SHORT  # from dollars for all to millionths for each
    return found.input_price * per_token, found.output_price * per_token


def find_dearest(models: Iterable[str]) -> Price:
    """Return the highest prices among those of several models, of which one will answer."""
    found = [find_price([model]) or UNKNOWN for model in models]
    return max(prompt for prompt, _ in found), max(completion for _, completion in found)


def compute_cost(price: Price, prompt_tokens: int, completion_tokens: int) -> int:
    """Return the cost of an answer in millionths of a dollar, rounded up."""
    return math.ceil(prompt_tokens * price[0] + completion_tokens * price[1])
