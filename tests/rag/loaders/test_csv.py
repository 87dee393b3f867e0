"""CSV files of several tables, and with lines above the table: each value keeps the name of its own column."""

import pytest

from chatbot.rag.loaders.csv import CsvLoader

FIRST = "name,born\nAda,1815\nAlan,1912\n"
READ_FIRST = ["name: Ada\nborn: 1815", "name: Alan\nborn: 1912"]


def load(text: str) -> list[str]:
    return CsvLoader().load(text.encode()).text.split("\n\n")


@pytest.mark.parametrize(
    ("second", "rows"),
    [
        ("city,country,people\nLeeds,UK,5\nYork,UK,7\n", ["city: Leeds\ncountry: UK\npeople: 5", "city: York\ncountry: UK\npeople: 7"]),
        ("item,price\ntea,3.50\nmilk,2\n", ["item: tea\nprice: 3.50", "item: milk\nprice: 2"]),
        ("Expenses,\nitem,price\ntea,3.50\nmilk,2\n", ["Expenses", "item: tea\nprice: 3.50", "item: milk\nprice: 2"]),
        ("name,born\nKurt,1906\nEmmy,1882\n", ["name: Kurt\nborn: 1906", "name: Emmy\nborn: 1882"]),
    ],
    ids=["wider", "values", "title", "the same names"],
)  # fmt: skip
@pytest.mark.parametrize("blank", ["\n", ",\n \n"])
def test_second_table_has_its_own_names(second: str, rows: list[str], blank: str) -> None:
    assert load(FIRST + blank + second) == READ_FIRST + rows


@pytest.mark.parametrize(
    ("more", "rows"),
    [
        ("\nKurt,1906\n", ["name: Kurt\nborn: 1906"]),
        ("\nKurt,unknown\nEmmy,1882\n", ["name: Kurt\nborn: unknown", "name: Emmy\nborn: 1882"]),
        ("\nWomen,\nEmmy,1882\nMary,1792\n", ["name: Women", "name: Emmy\nborn: 1882", "name: Mary\nborn: 1792"]),
    ],
    ids=["one row", "words", "group"],
)
def test_table_goes_on_behind_an_empty_row(more: str, rows: list[str]) -> None:
    assert load(FIRST + more) == READ_FIRST + rows


@pytest.mark.parametrize("title", ["Bank statement,,,\n", ""])
@pytest.mark.parametrize("blank", [",,,\n", ""])
def test_lines_above_the_table_name_no_columns(title: str, blank: str) -> None:
    table = "Date,Details,Paid,Balance\n01/03/2026,Rent,900,1\n03/03/2026,Salary,,3\n,,Total,3\n"
    found = load(f"{title}Account,GB29,,\nPeriod,March 2026,,\n{blank}{table}")
    assert found == [
        *(["Bank statement"] if title else []), "Account, GB29", "Period, March 2026",
        "Date: 01/03/2026\nDetails: Rent\nPaid: 900\nBalance: 1", "Date: 03/03/2026\nDetails: Salary\nBalance: 3",
        "Paid: Total\nBalance: 3",
    ]  # fmt: skip


def test_row_with_delimiters_in_its_text_is_no_header() -> None:
    found = load("name,note\nAda,first\nAlan,a,b,c,d,e\nKurt,x\nEmmy,y\n")
    assert found[0] == "name: Ada\nnote: first"
    assert found[-1] == "name: Emmy\nnote: y"
