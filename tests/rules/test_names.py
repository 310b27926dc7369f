"""File names from URLs: safe on every platform, or refused."""

from __future__ import annotations

import string
import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncdl.errors import OptionsError
from asyncdl.rules.names import file_name
from asyncdl.rules.taken import refuse_clashes


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
    "names",
    [
        ["a", "a"],
        ["a", "b", "a.part"],
        ["a.part", "a"],
        ["a", "A"],
        ["Straße", "STRASSE.PART"],
        ["a", "a.part.journal"],
        ["a.part.journal.new", "a"],
        ["a", "A.Part.Done"],
    ],
)
def test_clash(names: list[str]) -> None:
    """No file takes another's place, finished or not."""
    with pytest.raises(OptionsError):
        refuse_clashes(names)


def test_no_clash() -> None:
    """Different names are no trouble."""
    refuse_clashes(["a", "b", "ä", "c.part", "d.journal", "e.done"])
