"""Fetches one file with pip's downloader, in the way it fetches a wheel: into a temporary directory first."""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from typing import Any

_TRIES = 5
_TIMEOUT = 3


def main() -> None:
    errand: dict[str, Any] = json.loads(sys.argv[1])
    network = "pip._internal.network"
    link = importlib.import_module("pip._internal.models.link").Link(errand["url"])
    session = importlib.import_module(f"{network}.session").PipSession(retries=_TRIES, resume_retries=_TRIES)
    session.timeout = _TIMEOUT
    if errand["ca_file"]:
        session.verify = errand["ca_file"]
    fetch = importlib.import_module(f"{network}.download").Downloader(session, "off")
    with tempfile.TemporaryDirectory(dir=errand["home"]) as directory:
        path, _ = fetch(link, directory)
        os.replace(path, errand["dest"])  # noqa: PTH105


if __name__ == "__main__":
    main()
