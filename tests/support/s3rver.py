"""S3 servers with URLs presigned by botocore; s3rver among them really refuses the expired ones."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from pathlib import Path
from typing import Any, Literal

import botocore.config
import botocore.session

from asyncdl.testing import Content
from asyncdl.testing.provider import Provider
from tests.support.process import HOST, ServerProcess

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / ".servers/node_modules/s3rver/bin/s3rver.js"
VERSION = "3.7.1"
#: s3rver knows one account.
_KEY = "S3RVER"
#: Its answers to version 4 look at the expiry only; version 2 URLs have their signature checked as well.
SignatureVersion = Literal["s3v4", "s3"]


class S3Server:
    """One running s3rver; see `S3` for what a test sees of it."""

    def __init__(self, directory: Path) -> None:
        self.data = directory / "data"
        self.data.mkdir()
        self.process = ServerProcess(self._command, directory / "output.log")

    def _command(self, port: int) -> list[str]:
        node = shutil.which("node")
        assert node is not None
        return [node, str(PROGRAM), "-d", str(self.data), "-a", HOST, "-p", str(port), "--no-vhost-buckets"]


class Bucket:
    """What one test has of an S3 server: a bucket of its own.

    Args:
        port: where the server listens.
        key: name and secret of the account, which are the same.
    """

    def __init__(self, port: int, key: str) -> None:
        self._clients: dict[SignatureVersion, Any] = {}
        self._key = key
        self.port: int = port
        self.bucket: str = f"bucket-{secrets.token_hex(6)}"
        self.client("s3v4").create_bucket(Bucket=self.bucket)

    def client(self, version: SignatureVersion = "s3v4") -> Any:
        """A botocore client of the server, with path-style addressing."""
        if version not in self._clients:
            session = botocore.session.Session()
            session.set_credentials(self._key, self._key)
            config = botocore.config.Config(
                signature_version=version,
                s3={"addressing_style": "path"},
                # s3rver is older than trailing checksums.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                # Neither our proxy nor our patience is to be tested here.
                proxies={},
                connect_timeout=5,
                read_timeout=30,
                retries={"max_attempts": 1},
            )
            self._clients[version] = session.create_client(
                "s3", region_name="us-east-1", endpoint_url=f"http://{HOST}:{self.port}", config=config
            )
        return self._clients[version]

    def put(self, key: str, size: int, seed: int = 1) -> Content:
        """Uploads an object the ordinary way; for sizes that fit into memory."""
        content = Content(seed, size)
        self.client().put_object(Bucket=self.bucket, Key=key, Body=content.read(0, size))
        return content

    def presign(self, key: str, ttl: int, version: SignatureVersion = "s3v4") -> str:
        """A GET URL that dies `ttl` seconds from now; S3 counts in whole seconds and has none shorter than 1."""
        url: str = self.client(version).generate_presigned_url(
            "get_object", Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=ttl
        )
        return url

    def provider(self, key: str, ttl: int, version: SignatureVersion = "s3v4", *, delay: float = 0.0) -> Provider:
        """A provider of such URLs, which counts its `.calls`."""
        return Provider(lambda: self.presign(key, ttl, version), delay=delay)

    def clear(self) -> None:
        """Closes the clients."""
        for client in self._clients.values():
            client.close()


class S3(Bucket):
    """A bucket of s3rver."""

    def __init__(self, server: S3Server) -> None:
        super().__init__(server.process.port, _KEY)
        self._server = server

    def place(self, key: str, size: int, seed: int = 1) -> Content:
        """Puts a large object straight into the server's folder, at the speed of the disk.

        An object there is a file `KEY._S3rver_object`; the `.md5` beside it is what it sends as ETag. Without that file
        the server would read the whole object first, so it gets a made-up one, which is all a client can see of it.
        """
        content = Content(seed, size)
        path = self._server.data / self.bucket / f"{key}._S3rver_object"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for block in content.blocks(0, size, block=1 << 20):
                file.write(block)
        etag = hashlib.md5(f"{seed} {size}".encode(), usedforsecurity=False).hexdigest()
        Path(f"{path}.md5").write_text(etag, encoding="utf-8")
        metadata = path.with_name(path.name.removesuffix("object") + "metadata.json")
        metadata.write_text(json.dumps({"content-type": "application/octet-stream"}), encoding="utf-8")
        return content

    def clear(self) -> None:
        """Removes the bucket and closes the clients."""
        shutil.rmtree(self._server.data / self.bucket, ignore_errors=True)
        super().clear()


def missing() -> str | None:
    """Why s3rver cannot run here, or None if it can."""
    if shutil.which("node") is None:
        return "node is not installed (Debian: apt-get install nodejs)"
    manifest = PROGRAM.parents[1] / "package.json"
    if not manifest.exists() or json.loads(manifest.read_text(encoding="utf-8"))["version"] != VERSION:
        return f"s3rver {VERSION} is not installed: run tests/servers/install.sh"
    return None
