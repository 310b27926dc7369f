"""Lists of checksums: what the common tools write is read, and nothing is guessed."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.errors import OptionsError
from asyncdl.rules.checksum_lists import find

_DATA = b"what is in it"
_HEX = {name: hashlib.new(name, _DATA).hexdigest() for name in ("md5", "sha1", "sha256", "sha512", "blake2b")}
_SHA256, _OTHER = _HEX["sha256"], hashlib.sha256().hexdigest()


def _found(text: str, name: str = "a.bin", title: str = "") -> str | None:
    checksum = find(text, name, title=title)
    return None if checksum is None else str(checksum)


@pytest.mark.parametrize(
    "line",
    [
        f"{_SHA256}  a.bin",
        f"{_SHA256} *a.bin",
        f"{_SHA256} a.bin",
        f"{_SHA256.upper()}  a.bin",
        f"{_SHA256}  ./a.bin",
        f"{_SHA256}  dist/x/a.bin",
        f"SHA256 (a.bin) = {_SHA256}",
        f"SHA256(a.bin)= {_SHA256}",
        f"SHA2-256(a.bin)= {_SHA256}",
        f"SHA256 (dist/a.bin) = {_SHA256}",
        f"SHA256 (a.bin) = {base64.b64encode(bytes.fromhex(_SHA256)).decode()}",
        f"{_SHA256}  a.bin\r",
    ],
)
def test_ways_to_write_it(line: str) -> None:
    """D5: with and without a tag, for text and binary, and by other systems."""
    text = f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n# comment\n{_OTHER}  b.bin\n{line}\n{_OTHER}  c.bin\n"

    assert f"sha256:{_SHA256}" == _found(text)


@pytest.mark.parametrize(
    ("algorithm", "title", "expected"),
    [
        ("md5", "MD5SUMS", "md5"),
        ("sha1", "SHA1SUMS", "sha1"),
        ("sha256", "", "sha256"),
        ("sha512", "SHA512SUMS", "sha512"),
        ("sha512", "", "sha512"),
        ("blake2b", "B2SUMS", "blake2b"),
        ("blake2b", "a.bin.blake2b", "blake2b"),
        ("sha256", "B2SUMS", "sha256"),
    ],
)
def test_algorithm(algorithm: str, title: str, expected: str) -> None:
    """The number of digits says which; of two with as many, the list's name."""
    assert f"{expected}:{_HEX[algorithm]}" == _found(f"{_HEX[algorithm]}  a.bin", title=title)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.bin",
        _SHA256,
        f"{_SHA256}  ",
        f"{_SHA256}  xa.bin",
        f"{_SHA256}  a.bin.sig",
        f"{_SHA256}  A.BIN",
        f"{_SHA256[:-1]}  a.bin",
        f"{_SHA256[:-8]}  a.bin",
        f"SHA384 (a.bin) = {_SHA256}",
        f"SHA512 (a.bin) = {_SHA256}",
        f"BLAKE2b-256 (a.bin) = {_SHA256}",
        f"# {_SHA256}  a.bin",
    ],
)
def test_not_listed(text: str) -> None:
    """A damaged line, an unknown algorithm and another file's line are of no use."""
    assert None is _found(text)


def test_very_name_first() -> None:
    """A file of the same name in a directory is another one, if the file itself is listed."""
    assert f"sha256:{_SHA256}" == _found(f"{_OTHER}  old/a.bin\n{_SHA256}  a.bin\n{_OTHER}  new/a.bin")


@pytest.mark.parametrize(("mark", "name"), [("", r"a\\b\n"), ("\\", "a\\b\n")])
def test_escapes(mark: str, name: str) -> None:
    """A backslash in a name means something only where one at the beginning of the line says so."""
    assert f"sha256:{_SHA256}" == _found(rf"{mark}{_SHA256}  a\\b\n", name)


def test_strongest() -> None:
    """Of several algorithms the best one."""
    lines = (f"{name.upper()} (a.bin) = {_HEX[name]}" for name in ("md5", "sha256", "sha1"))

    assert f"sha256:{_SHA256}" == _found("\n".join(lines))


def test_twice_the_same() -> None:
    """A line that says nothing new is no trouble."""
    assert f"sha256:{_SHA256}" == _found(f"{_SHA256}  a.bin\n{_SHA256} *a.bin")


@pytest.mark.parametrize("paths", [("a.bin", "a.bin"), ("x/a.bin", "y/a.bin")])
def test_contradiction(paths: tuple[str, str]) -> None:
    """Nobody can tell which of two is meant."""
    with pytest.raises(OptionsError) as caught:
        find(f"{_SHA256}  {paths[0]}\n{_OTHER}  {paths[1]}", "a.bin")

    assert "several sha256 checksums of a.bin" in caught.value.message


@pytest.mark.parametrize("name", ["a b.bin", " a", "*a", "a\\b", "a\nb", "a\rb", "a) = b", "ä.bin", "\\n"])
@pytest.mark.parametrize("tool", ["md5sum", "sha1sum", "sha256sum", "sha512sum", "b2sum"])
@pytest.mark.parametrize("argv", [[], ["--tag"], ["--binary"]])
def test_real_tools(tool: str, argv: list[str], name: str, tmp_path: Path) -> None:
    """What coreutils write of any name is found again under it."""
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    (tmp_path / name).write_bytes(_DATA)
    written = subprocess.run([tool, *argv, "--", name], cwd=tmp_path, capture_output=True, check=True).stdout.decode()
    algorithm = "blake2b" if tool == "b2sum" else tool.removesuffix("sum")

    assert f"{algorithm}:{_HEX[algorithm]}" == _found(written, name, tool)


@given(st.text(), st.text(min_size=1))
def test_any_text(text: str, name: str) -> None:
    """Whatever is in it, there is an answer or a clear error."""
    with contextlib.suppress(OptionsError):
        find(f"{text}\n{_SHA256}  {text}\nSHA256 ({text}) = {text}", name)
