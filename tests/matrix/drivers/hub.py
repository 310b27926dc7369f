"""Fetches one file with huggingface_hub's `http_get`, as its own download does: into a file beside, then renamed."""

from __future__ import annotations

import importlib
import json
import os
import ssl
import sys
from typing import Any


def main() -> None:
    errand: dict[str, Any] = json.loads(sys.argv[1])
    hub: Any = importlib.import_module("huggingface_hub")
    download: Any = importlib.import_module("huggingface_hub.file_download")
    if errand["ca_file"]:
        httpx: Any = importlib.import_module("httpx2")
        context = ssl.create_default_context(cafile=errand["ca_file"])
        # Its default client but for the authority.
        hub.set_client_factory(lambda: httpx.Client(verify=context, follow_redirects=True, timeout=None))
    beside = errand["dest"] + ".incomplete"
    with open(beside, "wb") as file:  # noqa: PTH123  # as the library does
        download.http_get(
            errand["url"], file, headers={"Accept-Encoding": "identity"}, expected_size=errand["declared"]
        )
    os.replace(beside, errand["dest"])  # noqa: PTH105


if __name__ == "__main__":
    main()
