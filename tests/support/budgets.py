"""Budgets of persons in tests."""

from werkzeug.test import TestResponse

from tests.conftest import Person
from tests.support.waiting import wait_for

BUDGETS = "/api/users/me/budgets/"


def set_budgets(root: Person, user: Person, **limits: int) -> TestResponse:
    """Set a user's budgets: `turns_day=3` is one of three turns a day."""
    budgets = [
        {"metric": name.rpartition("_")[0], "window": name.rpartition("_")[2], "limit": amount}
        for name, amount in limits.items()
    ]
    return root.call("PATCH", f"/api/admin/users/{user.id}/", {"budgets": budgets})


def left(person: Person) -> dict[str, tuple[int, int]]:
    """Return the used and reserved amounts of a person's budgets."""
    items = person.call("GET", BUDGETS).get_json()["items"]
    return {f"{one['metric']}_{one['window']}": (one["used"], one["reserved"]) for one in items}


def settled(person: Person) -> dict[str, tuple[int, int]]:
    wait_for(lambda: not any(reserved for _, reserved in left(person).values()))
    return left(person)
