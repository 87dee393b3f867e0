"""Routes for forgotten passwords and e-mail addresses, with tokens of mails."""

from chatbot.schemas.accounts.mail_tokens import (
    EmailChangeSchema,
    MailTokenSchema,
    PasswordResetConfirmSchema,
    PasswordResetSchema,
)
from chatbot.services.accounts.mails import email_verification, password_reset
from chatbot.web import authentication, login_limits, problems, rate_limits
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_address, by_user

from .auth import bound_body

CREDENTIAL = "Needs an access token with a `code`, none with a `token`."

blueprint = Blueprint("mail_tokens", __name__, url_prefix="/api/users", description="Passwords and addresses by mail")
blueprint.before_request(bound_body)


@blueprint.route("/password-reset/", methods=["POST"])
@rate_limits.limit(RATE_MAIL_ADDRESS=by_address)
@problems.document(400, 413, 415, 503)
@blueprint.arguments(PasswordResetSchema)
@blueprint.response(202)
def request_password_reset(account: dict[str, str]) -> None:
    """Ask for a mail to set a new password by; the answer is the same where no account has the address."""
    password_reset.request(account["email"])


@blueprint.route("/password-reset/confirm/", methods=["POST"])
@rate_limits.limit(RATE_LOGIN_ADDRESS=by_address)
@problems.document(400, 413, 415, 503)
@blueprint.arguments(PasswordResetConfirmSchema)
@blueprint.response(204)
def confirm_password_reset(sent: dict[str, str]) -> None:
    """Set a new password by the token or the code of the mail; every session ends."""
    login_limits.queue_hashes_by_network()
    if "token" in sent:
        password_reset.confirm_by_token(sent["token"], sent["new_password"])
    else:
        password_reset.confirm_by_code(sent["email"], sent["code"], sent["new_password"])


@blueprint.route("/verify-email/", methods=["POST"])
@rate_limits.limit(RATE_LOGIN_ADDRESS=by_address)
@problems.document(400, 401, 403, 409, 413, 415, 503, description=CREDENTIAL)
@blueprint.arguments(MailTokenSchema)
@blueprint.response(204)
def verify_email(sent: dict[str, str]) -> None:
    """Verify an e-mail address by the token or the code of the mail."""
    if "token" in sent:
        email_verification.verify_by_token(sent["token"])
    else:
        email_verification.verify_by_code(authentication.authenticate_now(None), sent["code"])


@blueprint.route("/verify-email/resend/", methods=["POST"])
@authentication.required(None)
@rate_limits.limit(RATE_WRITE_USER=by_user, RATE_MAIL_ADDRESS=by_address)
@problems.document(503)
@blueprint.without_fields
@blueprint.response(202)
def resend_verification() -> None:
    """Ask for another mail to verify the caller's e-mail address."""
    email_verification.resend(authentication.current())


@blueprint.route("/me/email/", methods=["POST"])
@authentication.required(None)
@rate_limits.limit(RATE_LOGIN_ADDRESS=by_address, RATE_LOGIN_ACCOUNT=by_user)
@problems.document(400, 413, 415, 503)
@blueprint.arguments(EmailChangeSchema)
@blueprint.response(202)
def change_email(change: dict[str, str]) -> None:
    """Change the caller's e-mail address, once a mail to the new one was read; until then the old one stays."""
    login_limits.queue_hashes_by_network()
    email_verification.request_change(authentication.current(), **change)
