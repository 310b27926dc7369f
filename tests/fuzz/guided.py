"""The same targets under libFuzzer, led by the branches taken in our code; needs the package `atheris`.

libFuzzer ends its process, so it gets one: `python -m tests.fuzz.guided TARGET DIRECTORY libFuzzer-options...`.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.engine import Failure, Report, Target, shrunk

#: Seconds for libFuzzer to start and to end beyond what it was given.
_GRACE = 60
_ONE_INPUT = 20
_OURS = ["asyncdl.rules", "asyncdl.model"]


def is_there() -> bool:
    """Whether this interpreter has atheris."""
    return importlib.util.find_spec("atheris") is not None


def run(target: Target, *, seed: int, seconds: float) -> Report:
    """Let libFuzzer look for an input that fails.

    Raises:
        RuntimeError: it ended without saying what it did.
    """
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        corpus = directory / "corpus"
        corpus.mkdir()
        for number, data in enumerate(target.corpus):
            (corpus / f"{number}").write_bytes(data)
        lines = ('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in target.words if len(word) <= 60)
        (directory / "words").write_text("".join(lines))
        command = [sys.executable, "-m", __name__, target.name, str(corpus), f"-dict={directory / 'words'}"]
        command += [f"-artifact_prefix={directory}/", f"-max_total_time={seconds:.0f}", f"-seed={seed + 1}"]
        command += [f"-max_len={target.longest}", f"-timeout={_ONE_INPUT}", "-print_final_stats=1", "-verbosity=0"]
        began = time.perf_counter()
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=seconds + _GRACE, check=False
        )
        spent = time.perf_counter() - began
        found = sorted(path for kind in ("crash", "timeout", "oom") for path in directory.glob(f"{kind}-*"))
        failure = _failure(target, found[0].read_bytes(), found[0].name) if found else None
        tried = re.search(r"number_of_executed_units:\s*([0-9]+)", done.stderr)
        kept = sum(1 for _ in corpus.iterdir())
    if failure is None and (done.returncode or tried is None):
        raise RuntimeError(f"libFuzzer ended with {done.returncode}: {done.stderr[-800:]}")
    inputs = int(tried[1]) if tried else 0
    return Report(name=target.name, inputs=inputs, seconds=spent, ways=kept, failure=failure)


def _failure(target: Target, data: bytes, name: str) -> Failure:
    if name.startswith("crash"):
        try:
            target.check(data)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the finding
            small = shrunk(target.check, data, type(error))
            return Failure(data=small, error=f"{type(error).__name__}: {error}")
    return Failure(data=data, error=f"libFuzzer reports a {name.partition('-')[0]}")


def main(arguments: list[str]) -> None:
    """Be the process that libFuzzer ends."""
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=_OURS):
        targets = importlib.import_module("tests.fuzz.targets").TARGETS
        texts = importlib.import_module("tests.fuzz.texts")
    with texts.known_spellings():
        atheris.Setup(["fuzz", *arguments[1:]], targets[arguments[0]].check)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
