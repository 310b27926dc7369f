"""File names from URLs: safe on every platform, or refused."""

from __future__ import annotations

import string
import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncdl.errors import OptionsError
from asyncdl.rules.names import file_name, relative_path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/model.bin?X-Amz-Signature=abc", "model.bin"),
        ("a%20b.bin", "a b.bin"),
        ("d/%C3%A4.bin", "ä.bin"),
        ("..%2F..%2Fetc%2Fpasswd", "_._.._etc_passwd"),
        ("C%3A%5Cx.bin", "C__x.bin"),
        (".bashrc", "_bashrc"),
        ("..hidden", "_.hidden"),
        ("x%00.bin", "x_.bin"),
        ("x%0A%1B.bin", "x__.bin"),
        ("gpj%E2%80%AEexe", "gpj_exe"),
        ("trailing.%20.", "trailing"),
        ("%FF.bin", "\ufffd.bin"),
        ("console.log", "console.log"),
        ("-rf", "-rf"),
    ],
)
def test_made_safe(path: str, expected: str) -> None:
    """Decoded once, and nothing dangerous left."""
    assert expected == file_name(f"https://host/{path}")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "dir/",
        ".",
        "..",
        "%2E%2E",
        "...",
        "%20",
        "CON",
        "con.txt",
        "Lpt1",
        "aux.tar.gz",
        "nul ",
        "COM%C2%B9",
        "x" * 251,
    ],
)
def test_refused(path: str) -> None:
    """Where no name can be made the user is told to give one."""
    with pytest.raises(OptionsError) as caught:
        file_name(f"https://host/{path}")

    assert "name the file with -o" == caught.value.hint


def test_longest() -> None:
    """The unfinished file's name fits too."""
    assert "x" * 250 == file_name("https://host/" + "x" * 250)


@given(
    st.text(st.characters() | st.sampled_from("./\\:% \0\n\x1b"), max_size=300).map(
        lambda text: quote(text, errors="replace")
    )
)
@example("..%2f..")
@example("%2e%2e%5c")
def test_any_name_is_safe(segment: str) -> None:
    """Whatever a URL ends in: one visible component of a path, or an error."""
    try:
        name = file_name(f"https://host/dir/{segment}")
    except OptionsError:
        return

    assert not set(name) & set('/\\<>:"|?*')
    assert not any(unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for letter in name)
    assert not name.startswith(".")
    assert name == name.rstrip(". ")
    assert 0 < len((name + ".part").encode()) <= 255


@given(
    st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=20).filter(
        lambda name: name[0] not in "._"
    )
)
def test_ordinary_names_stay(name: str) -> None:
    """What needs no change gets none."""
    try:
        made = file_name(f"https://host/{name}?sig=x")
    except OptionsError:
        return

    assert name.rstrip(".") == made


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.bin", "a.bin"),
        ("a/b/c.bin", "a/b/c.bin"),
        ("./a//b/./c.bin", "a/b/c.bin"),
        (".gitattributes", ".gitattributes"),
        ("x/.zarray", "x/.zarray"),
        ("...a", "...a"),
        ("a\\b", "a_b"),
        ("2024-01-01T00:00:00/x?.bin", "2024-01-01T00_00_00/x_.bin"),
        ("a\0b/c\nd", "a_b/c_d"),
        (" a /b. ", "a/b"),
        ("a%2Fb", "a%2Fb"),
        ("gpj\u202eexe", "gpj_exe"),
        ("ä/ß", "ä/ß"),
    ],
)
def test_relative_path(text: str, expected: str) -> None:
    """Parts stay parts, each is made safe, and nothing is decoded; a dot at the beginning is the list's own choice."""
    assert expected == relative_path(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "/",
        "/etc/passwd",
        "//host/share",
        "\\\\host\\share",
        "\\x",
        "C:x",
        "c:/x",
        "../x",
        "a/../x",
        "a/..",
        "a/../../x",
        "..\\x",
        "a\\..\\..\\x",
        "a/",
        "a/.",
        "a/ ./b",
        "a/.. /b",
        "a/ ../b",
        "a/.../b",
        "a/con/b",
        "NUL",
        "lpt1.txt",
        "x" * 251,
        "/".join(["x" * 200] * 30),
    ],
)
def test_no_relative_path(text: str) -> None:
    """What leaves the directory, in whatever spelling, names no file, or fits no file system."""
    with pytest.raises(OptionsError):
        relative_path(text)


@given(st.text(st.characters() | st.sampled_from("./\\:% \0\n"), max_size=60))
@example("a/\u2024\u2024/b")
@example("\uff0e\uff0e/b")
def test_any_relative_path_is_safe(text: str) -> None:
    """Whatever a list says: below the directory, the same on every platform, and stable."""
    try:
        path = relative_path(text)
    except OptionsError:
        return
    parts = path.split("/")

    assert not {"", ".", ".."} & set(parts)
    assert not set(path) & set('\\<>:"|?*')
    assert [part.strip(" ").rstrip(". ") for part in parts] == parts
    assert all(0 < len((part + ".part").encode()) <= 255 for part in parts)
    assert path == relative_path(path)


def test_no_url_at_all() -> None:
    """What cannot be taken apart ends in no name."""
    with pytest.raises(OptionsError, match="no file name"):
        file_name("http://[half/x")
