"""The Makefile's environment: of the right version of Python, or one line."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with the Makefile and nothing to install."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.txt").write_text("")
    return tmp_path


def make(project: Path, python: str) -> subprocess.CompletedProcess[str]:
    command = ["make", ".venv/app", f"PYTHON={python}"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def python_that_is(project: Path, place: str, version: str) -> Path:
    """Write a Python that says so of its version."""
    path = project / place
    path.parent.mkdir(parents=True, exist_ok=True)
    fake = f"import sys; sys.version_info = ({version.replace('.', ', ')}, 0, 'final', 0); exec(sys.argv[2])"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{fake}" "$@"\n')
    path.chmod(0o755)
    return path


def test_old_python_is_refused_in_one_line_before_anything_is_made(project: Path) -> None:
    done = make(project, str(python_that_is(project, "python3.10", "3.10")))
    assert done.returncode != 0
    assert done.stderr.splitlines()[0] == (
        "Python 3.11 or newer is needed, not 3.10: name one, as in make run PYTHON=python3.12"
    )
    assert not (project / ".venv").exists()


def test_environment_of_another_version_is_made_anew(project: Path) -> None:
    python_that_is(project, ".venv/bin/python", "3.10")
    done = make(project, sys.executable)
    assert done.returncode == 0, done.stderr
    assert "650 MB" in done.stdout
    said = subprocess.run([project / ".venv/bin/python", "-V"], capture_output=True, text=True, check=True).stdout
    assert said.split()[1] == sys.version.split()[0]
