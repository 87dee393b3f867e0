"""The texts of mails: a template of plain text that begins with the subject, and one of HTML for each kind."""

from collections.abc import Mapping
from pathlib import Path

import jinja2

from .ports import MailUnavailable

TEMPLATES = Path(__file__).parent / "templates"


class Templates:
    """The templates of an application; files of an operator's folder replace ours by their names."""

    def __init__(self, folder: str | None = None) -> None:
        folders = [*([Path(folder)] if folder else []), TEMPLATES]
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(folders),
            autoescape=jinja2.select_autoescape(["html"]),
            undefined=jinja2.StrictUndefined,
            keep_trailing_newline=True,
        )

    def render(self, kind: str, values: Mapping[str, str]) -> tuple[str, str, str]:
        """Return the subject, the text and the HTML of a kind of mail; raises MailUnavailable for a faulty template."""
        try:
            whole = self._environment.get_template(f"{kind}.txt").render(values)
            html = self._environment.get_template(f"{kind}.html").render(values)
        except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise MailUnavailable(f"The template of {kind} is faulty: {error}") from error
        subject, _, text = whole.partition("\n")
        return subject.strip(), text.lstrip("\n"), html
