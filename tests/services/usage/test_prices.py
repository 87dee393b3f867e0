"""Prices of models that the library `genai-prices` knows."""

import importlib.util
from decimal import Decimal
from pathlib import Path

import pytest

import config
from chatbot.services.usage import prices
from tests.conftest import MakeApp


def test_listed_prices_stand_in_where_none_is_set(make_app: MakeApp) -> None:
    with make_app(PRICE_LIST="genai-prices", MODEL_PRICES="gpt-4=1/2").app_context():
        assert prices.find_price(["gpt-4"]) == (1, 2)
        assert prices.find_price(["gpt-4o-mini"]) == (Decimal("0.15"), Decimal("0.6"))
        assert prices.find_price(["no-such-model", "gpt-4o-mini-2024-07-18"]) == (Decimal("0.15"), Decimal("0.6"))
        assert prices.find_price(["no-such-model", None]) is None
        assert prices.find_cost(["gpt-4o-mini"], 1_000_000, 1_000_000) == 750_000  # 0.75 dollars


def test_no_list_is_asked_without_the_setting(make_app: MakeApp) -> None:
    with make_app().app_context():
        assert prices.find_price(["gpt-4o-mini"]) is None


@pytest.mark.parametrize(
    ("name", "is_installed", "told"), [("genai-prices", False, "pip install"), ("x", True, "one of")]
)
def test_list_that_is_not_there_is_refused(
    name: str,
    is_installed: bool,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if not is_installed:
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(config.BadSettings):
        config.load({"INSTANCE_PATH": str(tmp_path), "PRICE_LIST": name}, tmp_path / "none")
    assert told in capsys.readouterr().err.lower()
