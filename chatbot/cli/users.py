"""`flask users`: make, shut and export accounts."""

import secrets

import click
from flask import current_app
from flask.cli import AppGroup
from marshmallow import ValidationError

from chatbot.errors import EmailTaken, InvalidInput, UsernameTaken
from chatbot.schemas.accounts.auth import SignupSchema
from chatbot.services.accounts import accounts
from chatbot.services.accounts.callers import OPERATOR
from chatbot.services.administration import users
from chatbot.services.chat.state import get_chat_state
from chatbot.services.privacy import export

from .outcome import reporting_errors

DEMO = ("demo1", "demo2", "demo3")  # names that no guide takes for its own account

group = AppGroup("users", help="Make, shut and export accounts.")


@group.command("create")
@click.option("--email", prompt=True, help="The e-mail address to log in with.")
@click.option("--username", prompt=True, help="3 to 32 characters.")
@click.option(
    "--password",
    prompt=True,
    hide_input=True,
    confirmation_prompt=True,
    envvar="CHATBOT_PASSWORD",
    help="8 to 1,024 characters; asked for when not given, or taken from CHATBOT_PASSWORD.",
)
@click.option("--admin", is_flag=True, help="May change the operator's collections and documents.")
def create(email: str, username: str, password: str, admin: bool) -> None:
    """Make one account."""
    with reporting_errors():
        user = _sign_up(email, username, password, "admin" if admin else "user")
    click.echo(f"Created {user.role} {user.username} <{user.email}>.")


@group.command("seed")
def seed() -> None:
    """Make three demo users and print their passwords, once. Refused in production."""
    if current_app.config["APP_ENV"] == "production":
        raise click.ClickException("Demo users are not for production.")
    made = 0
    with reporting_errors():
        for name in DEMO:
            password = secrets.token_urlsafe(12)
            try:
                user = _sign_up(f"{name}@example.com", name, password, "user")
            except (EmailTaken, UsernameTaken):
                click.echo(f"{name} is already there.")
            else:
                click.echo(f"{user.email}  {password}")
                made += 1
    click.echo(f"Made {made} demo users.")


@group.command("promote")
@click.argument("email")
def promote(email: str) -> None:
    """Make the account with this e-mail address an administrator, within 5 seconds."""
    with reporting_errors():
        user = users.change_user(OPERATOR, users.find_user_id(email), role="admin")
    click.echo(f"{user.username} <{user.email}> is an administrator.")


@group.command("verify")
@click.argument("email")
def verify(email: str) -> None:
    """Call this e-mail address verified, where a mail could not."""
    with reporting_errors():
        user = users.verify_email(OPERATOR, users.find_user_id(email))
    click.echo(f"{user.email} is verified.")


@group.command("disable")
@click.argument("email")
def disable(email: str) -> None:
    """Shut the account with this e-mail address; its sessions end within 5 seconds."""
    with reporting_errors():
        user = users.change_user(OPERATOR, users.find_user_id(email), disabled=True)
    click.echo(f"Disabled {user.username} <{user.email}>.")


@group.command("enable")
@click.argument("email")
def enable(email: str) -> None:
    """Open an account again that was shut."""
    with reporting_errors():
        user = users.change_user(OPERATOR, users.find_user_id(email), disabled=False)
    click.echo(f"Enabled {user.username} <{user.email}>.")


@group.command("export")
@click.argument("email")
def export_user(email: str) -> None:
    """Write all that is held about the account with this e-mail address, as lines of JSON."""
    with reporting_errors():
        caller = accounts.find_caller_by_email(email)
        for line in export.stream(get_chat_state().app, caller, lambda: None):
            click.echo(line, nl=False)


def _sign_up(email: str, username: str, password: str, role: str) -> accounts.Account:
    fields = {"email": email, "username": username, "password": password, "password_confirm": password}
    try:
        account = SignupSchema().load(fields)
    except ValidationError as error:
        raise InvalidInput(error.messages_dict) from error
    return accounts.sign_up(account["email"], account["username"], account["password"], role=role)
