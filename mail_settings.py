"""Settings of the mails to users. As `config`, this module imports nothing of the application."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from marshmallow import Schema, fields
from marshmallow.validate import Regexp

from bounds import setting

SCHEMES = ("smtp", "smtps", "console", "memory")
URL = Regexp(
    rf"^({'|'.join(SCHEMES)}):(//[^\s]+)?\Z",
    error="Must be smtp://USER:PASSWORD@HOST:PORT, smtps://..., console: or memory:.",
)
ADDRESS = re.compile(r"([^<>\r\n]* )?<?[^<>@\s]+@[^<>@\s]+>?")  # with or without a name before it
PAGE = Regexp(r"^https?://[^\s/?#@]+(/[^\s#]*)?\Z", error="Must be an http or https address without a fragment.")


class MailSettings(Schema):
    """The settings of mails."""

    MAIL_URL = setting(
        fields.String,
        None,
        "Sends mails: smtp://USER:PASSWORD@HOST, smtps://... or console:; in production default none",
        URL,
    )
    MAIL_FROM = setting(fields.String, None, "The sender of mails, such as 'Chat <chat@example.org>'")
    MAIL_TEMPLATES = setting(fields.String, None, "A folder whose files replace those of chatbot/mail/templates")
    ACCOUNT_URL = setting(
        fields.String, None, "The page that mails lead to, with #reset=TOKEN or #verify=TOKEN; default: our own", PAGE
    )
    REQUIRE_VERIFIED_EMAIL = setting(
        fields.Boolean,
        False,
        "All but the account's own routes answer 403 before its e-mail address is verified; needs MAIL_URL",
    )


def find_mail_errors(data: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the errors of the settings together, by their names."""
    errors: dict[str, list[str]] = {}
    is_smtp = (data["MAIL_URL"] or "").startswith("smtp")
    if is_smtp and not _has_host(data["MAIL_URL"]):
        errors["MAIL_URL"] = ["Needs a host, and a port that is one: smtp://USER:PASSWORD@HOST:PORT."]
    if is_smtp and not data["MAIL_FROM"]:
        errors["MAIL_FROM"] = ["Must be set with an smtp MAIL_URL."]
    if data["MAIL_FROM"] and not ADDRESS.fullmatch(data["MAIL_FROM"]):
        errors["MAIL_FROM"] = ["Must be an address such as 'Chat <chat@example.org>'."]
    if data["REQUIRE_VERIFIED_EMAIL"] and not data["MAIL_URL"]:
        errors["REQUIRE_VERIFIED_EMAIL"] = ["Needs a MAIL_URL: mails verify addresses."]
    if data["APP_ENV"] == "production" and data["MAIL_URL"] in {"console:", "memory:"}:
        errors["MAIL_URL"] = ["Would write secrets to the log in production."]
    return errors


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the port, or of brackets
        return False
