"""An issuer of tokens: its key server is a process of its own."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

AUDIENCE = "my-api"


class Issuer:
    """Signs tokens with keys of which some are published."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._file = folder / "keys"
        self._keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        found = re.search(r"port (\d+)", self._process.stdout.readline())
        assert found is not None
        self.url = f"http://127.0.0.1:{found[1]}"
        self.publish("first")

    @property
    def setting(self) -> str:
        """The setting by which its tokens are accepted."""
        return f"{self.url}|{AUDIENCE}|{self.url}/keys|ES256"

    def publish(self, *key_ids: str) -> None:
        """Publish these keys and no others; new ones are made."""
        for key_id in key_ids:
            self._keys.setdefault(key_id, ec.generate_private_key(ec.SECP256R1()))
        jwks = [json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self._keys[one].public_key())) for one in key_ids]
        described = [one | {"kid": key_id, "use": "sig"} for one, key_id in zip(jwks, key_ids, strict=True)]
        self._file.write_text(json.dumps({"keys": described}))

    def sign(self, subject: Any = "ada", *, key_id: str = "first", **claims: Any) -> str:
        """Return a token for an hour; a claim that is None is left out."""
        issued_at = int(time.time())
        whole = {"iss": self.url, "aud": AUDIENCE, "sub": subject, "iat": issued_at, "exp": issued_at + 3600, **claims}
        payload = {name: value for name, value in whole.items() if value is not None}
        return jwt.encode(payload, self._keys[key_id], algorithm="ES256", headers={"kid": key_id})

    def stop(self) -> None:
        """End the key server."""
        self._process.kill()
        with self._process:  # waits for its end, and closes its output
            pass
