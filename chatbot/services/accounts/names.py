"""Names of accounts: the folded forms in which they are unique."""

from chatbot.errors import InvalidInput
from chatbot.models.auth import MAX_EMAIL_KEY_LENGTH, MAX_USERNAME_KEY_LENGTH
from chatbot.rag.text import normalization


def fold_name(name: str) -> str:
    """Return the form in which two names compare equal (Unicode 3.13, caseless matching)."""
    return normalization.casefold_nfkc(name)


def refuse_unfoldable(**names: str) -> None:
    """Raise InvalidInput for a name with a folded form longer than its column: U+FDFA becomes 18 characters."""
    max_lengths = {"email": MAX_EMAIL_KEY_LENGTH, "username": MAX_USERNAME_KEY_LENGTH}
    errors = {
        field: ["Has too many unusual characters."]
        for field, name in names.items()
        if len(fold_name(name)) > max_lengths[field]
    }
    if errors:
        raise InvalidInput(errors)
