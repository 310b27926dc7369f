"""The command line and the environment: settings, or usage errors that give nothing away."""

from __future__ import annotations

import pytest

from asyncdl.cli import arguments
from asyncdl.cli.settings import VALUE_OPTIONS
from asyncdl.cli.values import ChecksumList
from asyncdl.errors import OptionsError

_URL = "https://host/a.bin?X-Amz-Signature=hunter2secret"
_MD5 = f"md5:{'0f' * 16}"


def _refusal(*argv: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(OptionsError) as caught:
        arguments.parse(argv, environ or {})
    return f"{caught.value} {caught.value.hint}"


def test_defaults_are_the_engines() -> None:
    """Nothing given: what `Options`, `Timeouts` and `Retry` say."""
    asked = arguments.parse([_URL], {})

    assert asked.options() == type(asked.options())()
    assert asked.timeouts() == type(asked.timeouts())()
    assert asked.retry() == type(asked.retry())()


def test_all_options_reach_the_engine() -> None:
    """Each option ends up where it belongs, options between the URLs and after them."""
    argv = f"-x 3 --part-size 1M --max-time 9 {_URL} --connect-timeout 2 --stall-time 4 --retries 0 --refresh-timeout 5"
    more = [
        "--first-connections",
        "2",
        "--proxy",
        "http://p:1",
        "--cacert",
        "ca.pem",
        "-H",
        "A: b",
        "-H",
        "C:d",
        "--size",
        "2K",
        "-vv",
        "-d",
        "x",
    ]
    asked = arguments.parse([*argv.split(), *more, "--if-exists", "replace", "-o", "f"], {})
    options, timeouts = asked.options(), asked.timeouts(spent=1.5)

    assert (3, 2, 1 << 20, "http://p:1", "ca.pem") == (
        options.connections,
        options.first_connections,
        options.part_size,
        options.proxy,
        options.ca_file,
    )
    assert (7.5, 2.0, 4.0, 5.0) == (timeouts.total, timeouts.connect, timeouts.stall, timeouts.refresh)
    assert 1 == asked.retry().attempts
    assert (("A", "b"), ("C", "d")) == asked.headers
    assert (2048, "replace", "f", "x", 2) == (asked.size, asked.if_exists, asked.output, asked.dir, asked.verbose)
    assert (_URL,) == asked.urls


@pytest.mark.parametrize(
    ("argv", "variable", "expected"),
    [
        ([], "", False),
        ([], "1", True),
        ([], "on", True),
        ([], "No", False),
        (["--allow-private-redirects"], "0", True),
        (["--no-allow-private-redirects"], "yes", False),
    ],
)
def test_switch(argv: list[str], variable: str, expected: bool) -> None:
    """An option without a value has a variable too, and the command line wins over it in both directions."""
    asked = arguments.parse([_URL, *argv], {"ASYNCDL_ALLOW_PRIVATE_REDIRECTS": variable})

    assert expected is asked.options().allow_private_redirects


def test_variables_set_defaults() -> None:
    """The environment is weaker than the command line; an empty variable is none."""
    environ = {"ASYNCDL_CONNECTIONS": "3", "ASYNCDL_PART_SIZE": "1M", "ASYNCDL_MAX_TIME": ""}
    asked = arguments.parse([_URL, "-x", "5"], environ)

    assert (5, 1 << 20, None) == (asked.connections, asked.part_size, asked.max_time)


@pytest.mark.parametrize("option", [option for option in VALUE_OPTIONS if option.variable], ids=lambda each: each.name)
def test_a_bad_variable_is_named(option: object) -> None:
    """And its value is not shown."""
    variable = option.variable  # type: ignore[attr-defined]
    words = _refusal(_URL, environ={variable: "\0"})

    assert variable in words
    assert "\0" not in words


def test_what_is_kept_and_verified() -> None:
    """Each switch and the checksum end up where they belong, and are at the engine's defaults otherwise."""
    asked = arguments.parse([_URL, "--no-resume", "--resume-unproven", "--no-check-space", "--checksum", _MD5], {})
    plain = arguments.parse([_URL], {}).options()

    assert (False, True, False) == (
        asked.options().resume,
        asked.options().resume_unproven,
        asked.options().check_space,
    )
    assert (True, False, True) == (plain.resume, plain.resume_unproven, plain.check_space)
    assert _MD5 == str(asked.checksum)
    assert ChecksumList(" x/SHA256SUMS") == arguments.parse([_URL, _URL, "--checksum", "@ x/SHA256SUMS"], {}).checksum


@pytest.mark.parametrize(
    "argv",
    [
        [],
        [_URL, _URL, "-o", "f"],
        [_URL, _URL, "--refresh-command", "x"],
        [_URL, _URL, "--size", "1"],
        [_URL, _URL, "--mirror", _URL],
        ["s3://bucket/key", "--mirror", _URL],
        ["--mirror", _URL],
        [_URL, "--mirror", "s3://bucket/hunter2secret"],
        [_URL, "--mirror", f"{_URL} hunter2secret"],
        [_URL, _URL, "--checksum", f"md5:{'0' * 32}"],
        [_URL, "--checksum", "hunter2secret"],
        [_URL, "--checksum", "sha256:hunter2secret"],
        [_URL, "--checksum", "@"],
        [_URL, "-o", "-"],
        [_URL, "-o", "dir/"],
        [_URL, "-x", "0"],
        [_URL, "-x", "hunter2secret"],
        [_URL, "--size", "hunter2secret"],
        [_URL, "--if-exists", _URL],
        [_URL, "-H", "hunter2secret"],
        [_URL, "-H", "A: hunter2secret\nB: c"],
        [_URL, f"--url={_URL}"],
        [_URL, "--token=hunter2secret"],
        [_URL, "-Zhunter2secret"],
        [_URL, "--conn", "3"],
        [_URL, "--json=hunter2secret"],
        [_URL, "--allow-private-redirects=hunter2secret"],
        [_URL, "-q", "-v"],
        [f"ftp://user:hunter2secret@{_URL}"],
        [f"{_URL} "],
        ["hunter2secret"],
    ],
)
def test_usage_errors_give_nothing_away(argv: list[str]) -> None:
    """A slip of the finger does not print a token into a log."""
    words = _refusal(*argv)

    assert words
    assert "hunter2secret" not in words


@pytest.mark.parametrize("option", ["--limit-rate"])
def test_nothing_is_offered_that_is_not_there(option: str) -> None:
    """An option that does not work yet is unknown."""
    assert f"unknown option {option}" in _refusal(_URL, option, "https://host/b")


def test_help_names_every_variable(capsys: pytest.CaptureFixture[str]) -> None:
    """The tables in the help text are complete, and a broken environment does not prevent it."""
    with pytest.raises(SystemExit) as caught:
        arguments.parse(["--help"], {"ASYNCDL_CONNECTIONS": "many"})
    shown = capsys.readouterr().out

    assert 0 == caught.value.code
    assert [] == [option.variable for option in VALUE_OPTIONS if option.variable and option.variable not in shown]
    assert ["129", "130", "143"] == [line.split()[0] for line in shown.splitlines() if line.startswith("  1")]


def test_settings_keep_secrets_out_of_repr() -> None:
    """Whoever prints them learns nothing."""
    asked = arguments.parse([_URL, "-H", "A: hunter2secret", "--refresh-command", "hunter2secret"], {})

    assert "hunter2secret" not in repr(asked)
