"""The language of a text, by script and by words."""

import pytest

from chatbot.rag.text.languages import detect


@pytest.mark.parametrize(
    ("text", "language"),
    [("The defense gave up just three hundred points.", "en"), ("¿Cuántos puntos dejaron escapar en defensa?", "es"),
     ("Die Verteidigung ließ nur wenige Punkte zu.", "de"), ("La défense n'a concédé que trois cents points.", "fr"),
     ("Оборона пропустила всего триста очков.", "ru"), ("黑豹队的防守丢了多少分？", "zh"), ("本赛季 NFL 的 MVP 是谁", "zh"),
     ("パンサーズは何点を許しましたか", "ja"), ("ทีมเสียไปกี่แต้ม", "th"), ("", ""), ("12 / 3.5 ?!", ""), (" \n", "")],
)  # fmt: skip
def test_language_is_told(text: str, language: str) -> None:
    assert detect(text) == language
    assert detect(text.upper()) == language


def test_quoted_words_in_another_script_do_not_decide() -> None:
    assert detect("The Chinese name of the team, 黑豹队, is used by all newspapers in the country.") == "en"
    assert (
        detect(
            "游戏《戦場のヴァルキュリア》是世嘉在日本发售的一款策略角色扮演游戏，深受玩家喜爱，并在多个国家的游戏展上获得大奖。"
        )
        == "zh"
    )
