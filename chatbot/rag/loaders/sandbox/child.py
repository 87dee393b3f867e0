"""Starts the process in which loaders run; by its path, so that no application is imported.

`python -P child.py MEMORY CPU WALL DOCUMENTS`: limits as in `types.ParserLimits`, frames on standard input and output.
"""

import importlib
import sys
from pathlib import Path
from types import ModuleType


def main() -> None:
    """Put an empty package in the application's place, so that `chatbot.rag` can be imported alone, and serve."""
    package = ModuleType("chatbot")
    package.__path__ = [str(Path(__file__).resolve().parents[3])]
    sys.modules["chatbot"] = package
    memory, cpu, wall, documents = sys.argv[1:]
    types = importlib.import_module("chatbot.rag.types")
    limits = types.ParserLimits(int(memory), int(cpu), float(wall), int(documents))
    importlib.import_module("chatbot.rag.loaders.sandbox.service").run(limits)


if __name__ == "__main__":
    main()
