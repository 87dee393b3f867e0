"""A mail server in a process of its own: `python -m tests.support.smtp_server FOLDER` prints its port.

It writes each mail into the folder, and answers as the file `reply` there says, if there is one.
"""

import asyncio
import email.parser
import email.policy
import json
import subprocess
import sys
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP

from tests.support.processes import ROOT


class Mailbox:
    """Takes mails, or answers with a scripted reply."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        """Take a sender, or answer as scripted for senders."""
        reply = self._folder / "reply to sender"
        if reply.exists():
            return reply.read_text()
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        """Take a recipient, or answer as scripted."""
        reply = self._folder / "reply"
        if reply.exists():
            return reply.read_text()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Store a mail."""
        number = len(list(self._folder.glob("*.json")))
        mail = {"to": envelope.rcpt_tos, "from": envelope.mail_from, "content": envelope.content.decode()}
        (self._folder / f"{number:06}.json").write_text(json.dumps(mail))
        return "250 OK"


class SmtpServer:
    """The process, and the mails that it has taken."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        command = [sys.executable, "-m", "tests.support.smtp_server", str(folder)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"smtp://127.0.0.1:{int(self._process.stdout.readline())}"

    def answer(self, reply: str | None, *, to_sender: bool = False) -> None:
        """Let it answer recipients, or senders, with a reply; None: take mails."""
        path = self._folder / ("reply to sender" if to_sender else "reply")
        path.write_text(reply) if reply else path.unlink(missing_ok=True)

    def list_mails(self) -> list[EmailMessage]:
        """Return the mails that came."""
        texts = [json.loads(path.read_text())["content"] for path in sorted(self._folder.glob("*.json"))]
        parser = email.parser.Parser(EmailMessage, policy=email.policy.default)
        return [parser.parsestr(text) for text in texts]

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


async def serve(folder: Path) -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Mailbox(folder), enable_SMTPUTF8=True), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
