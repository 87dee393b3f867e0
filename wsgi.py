"""What gunicorn and the `flask` command load."""

from chatbot import create_app

app = create_app()
