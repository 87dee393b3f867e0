"""Settings of usage. As `config`, this module imports nothing of the application."""

import re
from decimal import Decimal
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load

from bounds import setting

NUMBER = r"\d{1,9}(?:\.\d{1,9})?"
PRICE = re.compile(rf"(?P<model>[^\s=,]{{1,200}})\s*=\s*(?P<prompt>{NUMBER})\s*/\s*(?P<completion>{NUMBER})")
HINT = "must read like 'gpt-4o-mini=0.15/0.6', each model once."


class UsageSettings(Schema):
    """The settings of usage."""

    MODEL_PRICES = setting(
        fields.String, "", "Dollars for a million tokens of prompt and answer: gpt-4o-mini=0.15/0.6, NAME=1/2, ..."
    )

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
