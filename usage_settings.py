"""Settings of usage. As `config`, this module imports nothing of the application."""

import importlib.util
import re
from decimal import Decimal
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validates_schema
from marshmallow.validate import OneOf

from bounds import setting

NUMBER = r"\d{1,9}(?:\.\d{1,9})?"
PRICE = re.compile(rf"(?P<model>[^\s=,]{{1,200}})\s*=\s*(?P<prompt>{NUMBER})\s*/\s*(?P<completion>{NUMBER})")
HINT = "must read like 'gpt-4o-mini=0.15/0.6', each model once."
PRICE_LIST = "genai-prices"


class UsageSettings(Schema):
    """The settings of usage."""

    MODEL_PRICES = setting(
        fields.String, "", "Dollars for a million tokens of prompt and answer: gpt-4o-mini=0.15/0.6, NAME=1/2, ..."
    )

    PRICE_LIST = setting(
        fields.String,
        "",
        "Prices of models that MODEL_PRICES does not name: none, or those of genai-prices",
        OneOf(["", PRICE_LIST]),
    )

    @validates_schema
    def check_price_list(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse a list without its library."""
        if data["PRICE_LIST"] and importlib.util.find_spec("genai_prices") is None:
            raise ValidationError({"PRICE_LIST": [f"It needs a library: pip install {PRICE_LIST}."]})

    @post_load
    def read_prices(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Turn the list of prices into those of a prompt's and an answer's token by the name of the model."""
        prices: dict[str, tuple[Decimal, Decimal]] = {}
        for item in filter(None, (part.strip() for part in data["MODEL_PRICES"].split(","))):
            match = PRICE.fullmatch(item)
            if match is None or match["model"] in prices:
                raise ValidationError({"MODEL_PRICES": [f"{item!r} {HINT}"]})
            prices[match["model"]] = (Decimal(match["prompt"]), Decimal(match["completion"]))
        return data | {"MODEL_PRICES": prices}
