"""Of what a response says about checksums, only what is certainly of the whole object is taken for a promise."""

from __future__ import annotations

import hashlib
import time
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.model import DIGEST_SIZES, Checksum, Headers
from asyncdl.rules.promises import promised

CONTENT = b"123456789"
VALUES = {
    **{name: hashlib.new(name, CONTENT).digest() for name in ("sha512", "blake2b", "sha256", "sha1", "md5")},
    "crc64nvme": bytes.fromhex("ae8b14860a799888"),
    "crc32c": bytes.fromhex("e3069283"),
    "crc32": bytes.fromhex("cbf43926"),
}
B64 = {name: b64encode(value).decode() for name, value in VALUES.items()}
OTHER_MD5 = b64encode(hashlib.md5(b"a part").digest()).decode()
OTHER_CRC = b64encode(b"\0\1\2\3").decode()
RANGE = "Content-Range: bytes 0-3/9"
ALL_OF_IT = "Content-Range: bytes 0-8/9"
FULL = "x-amz-checksum-type: FULL_OBJECT"


def headers_of(lines: list[str]) -> Headers:
    pairs = [line.partition(": ") for line in lines]
    return Headers((name, value) for name, _, value in pairs)


def names(lines: list[str], *, whole: bool) -> list[str]:
    """The algorithms of what is promised, where each value is the right one."""
    found = promised(headers_of(lines), whole=whole)
    assert [Checksum(one.algorithm, VALUES[one.algorithm]) for one in found] == list(found)
    return [one.algorithm for one in found]


#: The header of a response; what it promises with the body being the whole object, None where it says that it is not;
#: and what it promises with the body being a part.
CASES: dict[str, tuple[list[str], list[str] | None, list[str]]] = {
    "nothing": ([], [], []),
    "an entity tag that is an MD5": ([f'ETag: "{VALUES["md5"].hex()}"'], [], []),
    "an entity tag that is a SHA-256": ([f'ETag: "{VALUES["sha256"].hex()}"'], [], []),
    # Amazon S3
    "S3, one upload": ([f"x-amz-checksum-sha256: {B64['sha256']}", FULL], ["sha256"], []),
    "S3, each algorithm": (
        [f"X-Amz-Checksum-{name.upper()}: {B64[name]}" for name in DIGEST_SIZES] + [FULL],
        list(DIGEST_SIZES),
        [],
    ),
    "S3, type in lower case": ([f"x-amz-checksum-crc32: {B64['crc32']}", FULL.lower()], ["crc32"], []),
    "S3, all of it asked for as a range": ([f"x-amz-checksum-crc32: {B64['crc32']}", FULL, ALL_OF_IT], ["crc32"], []),
    "S3, composite": ([f"x-amz-checksum-crc32: {B64['crc32']}-7", "x-amz-checksum-type: COMPOSITE"], [], []),
    "S3, composite of a single part": (
        [f"x-amz-checksum-crc32: {B64['crc32']}-1", "x-amz-checksum-type: COMPOSITE"],
        [],
        [],
    ),
    "S3, composite without its number": (
        [f"x-amz-checksum-crc32: {OTHER_CRC}", "x-amz-checksum-type: COMPOSITE", ALL_OF_IT],
        [],
        [],
    ),
    "S3, composite that calls itself full": ([f"x-amz-checksum-crc32: {B64['crc32']}-7", FULL], [], []),
    "S3, two types": ([f"x-amz-checksum-crc32: {B64['crc32']}", FULL, "x-amz-checksum-type: COMPOSITE"], [], []),
    "S3, a type of the future": ([f"x-amz-checksum-crc32: {B64['crc32']}", "x-amz-checksum-type: TREE"], [], []),
    "S3, no type": ([f"x-amz-checksum-crc64nvme: {B64['crc64nvme']}"], ["crc64nvme"], []),
    "S3, no type, composite": ([f"x-amz-checksum-crc64nvme: {B64['crc64nvme']}-2"], [], []),
    "S3, no type, all of it asked for as a range (botocore issue 3346)": (
        [f"x-amz-checksum-crc32: {OTHER_CRC}", ALL_OF_IT],
        [],
        [],
    ),
    "S3, a range that is a part": ([f"x-amz-checksum-crc32: {OTHER_CRC}", FULL, RANGE], None, []),
    # Google Cloud Storage
    "GCS, one field": ([f"x-goog-hash: crc32c={B64['crc32c']},md5={B64['md5']}"], ["md5", "crc32c"], ["md5", "crc32c"]),
    "GCS, two fields": (
        [f"x-goog-hash: crc32c={B64['crc32c']}", f"X-Goog-Hash: md5={B64['md5']}"],
        ["md5", "crc32c"],
        ["md5", "crc32c"],
    ),
    "GCS, composed": ([f"x-goog-hash: CRC32C = {B64['crc32c']} , sha1={B64['sha1']}"], ["crc32c"], ["crc32c"]),
    "GCS, stored as it is": (
        [f"x-goog-hash: crc32c={B64['crc32c']}", "x-goog-stored-content-encoding: identity"],
        ["crc32c"],
        ["crc32c"],
    ),
    "GCS, served as stored": (
        [f"x-goog-hash: crc32c={B64['crc32c']}", "x-goog-stored-content-encoding: gzip", "Content-Encoding: gzip"],
        ["crc32c"],
        ["crc32c"],
    ),
    "GCS, decompressed on the way": (
        [f"x-goog-hash: crc32c={OTHER_CRC},md5={OTHER_MD5}", "x-goog-stored-content-encoding: gzip"],
        [],
        [],
    ),
    "GCS, compressed on the way": (
        [f"x-goog-hash: md5={OTHER_MD5}", "x-goog-stored-content-encoding: identity", "Content-Encoding: gzip"],
        [],
        [],
    ),
    # Azure
    "Azure, whole blob": ([f"Content-MD5: {B64['md5']}"], ["md5"], []),
    "Azure, a range of it": ([f"x-ms-blob-content-md5: {B64['md5']}", RANGE], ["md5"], ["md5"]),
    # RFC 1864, RFC 9530, RFC 3230
    "Content-MD5 of a range": ([f"Content-MD5: {OTHER_MD5}", RANGE], None, []),
    "Content-MD5 in hexadecimal": ([f"Content-MD5: {VALUES['md5'].hex()}"], [], []),
    "Repr-Digest": ([f"Repr-Digest: sha-256=:{B64['sha256']}:", RANGE], ["sha256"], ["sha256"]),
    "Repr-Digest, several": (
        [f"Repr-Digest: md5=:{B64['md5']}:,\tsha=:{B64['sha1']}:", f"Repr-Digest: sha-512=:{B64['sha512']}:;a;b=1"],
        ["sha512", "sha1", "md5"],
        ["sha512", "sha1", "md5"],
    ),
    "Repr-Digest, unknown ones": (
        [f'Repr-Digest: x, y="a, sha-512=:{OTHER_CRC}:, \\"", z=?1; q="b,c", n=-1.5, sha-256=:{B64["sha256"]}:'],
        ["sha256"],
        ["sha256"],
    ),
    "Repr-Digest, order of bytes unknown": ([f"Repr-Digest: crc32c=:{B64['crc32c']}:"], [], []),
    "Repr-Digest, without colons": ([f"Repr-Digest: sha-256={B64['sha256'].rstrip('=')}"], [], []),
    "Repr-Digest, quoted": ([f'Repr-Digest: sha-256="{B64["sha256"]}"'], [], []),
    "Repr-Digest, space around it": ([f"Repr-Digest:   sha-256=:{B64['sha256']}:  "], ["sha256"], ["sha256"]),
    "Content-MD5, space around it": ([f"Content-MD5:  {B64['md5']} "], ["md5"], []),
    "Repr-Digest, without a value": (["Repr-Digest: sha-256"], [], []),
    "Repr-Digest, malformed after a good one": ([f"Repr-Digest: sha-256=:{B64['sha256']}:, ="], [], []),
    "Repr-Digest, malformed end": ([f"Repr-Digest: sha-256=:{B64['sha256']}:,"], [], []),
    "Repr-Digest, another length": ([f"Repr-Digest: sha-256=:{B64['md5']}:"], [], []),
    "Content-Digest": ([f"Content-Digest: sha-256=:{B64['sha256']}:"], ["sha256"], []),
    "Content-Digest of a range": ([f"Content-Digest: md5=:{OTHER_MD5}:", RANGE], None, []),
    "Digest": (
        [f"Digest: SHA-256={B64['sha256']},sha={B64['sha1']}, MD5={B64['md5']}", RANGE],
        ["sha256", "sha1", "md5"],
        ["sha256", "sha1", "md5"],
    ),
    "Digest, CRC in hexadecimal": (["Digest: CRC32c=E3069283,adler32=03da0195,UNIXsum=3"], ["crc32c"], ["crc32c"]),
    "Digest, CRC in base64": ([f"Digest: crc32c={B64['crc32c']}"], [], []),
    "Digest, uncoded": ([f"Digest: id-sha-256={B64['sha256']}"], ["sha256"], ["sha256"]),
    "Digest, uncoded, of a body that is coded": ([f"Digest: id-sha-256={OTHER_MD5}", "Content-Encoding: gzip"], [], []),
    "Digest, of a body that is coded": (
        [f"Digest: id-sha-512={B64['sha512']},sha-256={B64['sha256']}", "Content-Encoding: gzip"],
        ["sha256"],
        ["sha256"],
    ),
    # Agreement and conflict
    "the same from two": (
        [f"x-goog-hash: md5={B64['md5']}", f"Content-MD5: {B64['md5']}"],
        ["md5"],
        ["md5"],
    ),
    "different ones from two": (
        [f"x-goog-hash: md5={B64['md5']},crc32c={B64['crc32c']}", f"Content-MD5: {OTHER_MD5}"],
        ["crc32c"],
        ["md5", "crc32c"],
    ),
    "different ones in one": ([f"x-goog-hash: md5={B64['md5']},md5={OTHER_MD5}"], [], []),
    "a good one and a malformed one": ([f"Content-MD5: {B64['md5']}", "Content-MD5: ?"], ["md5"], []),
}


@pytest.mark.parametrize("case", CASES)
def test_promised(case: str) -> None:
    """Each header promises what it says of the whole object, and nothing more."""
    lines, of_all, of_part = CASES[case]

    if of_all is not None:
        assert of_all == names(lines, whole=True)
    assert of_part == names(lines, whole=False)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "=",
        "====",
        "AAAA",
        B64["md5"][:-1],
        B64["md5"][:-2],
        B64["md5"] + "=",
        B64["md5"] + "A",
        B64["md5"] + "-1",
        B64["md5"][:-3] + "/==",
        f"{B64['md5'][:5]} {B64['md5'][5:]}",
        f'"{B64["md5"]}"',
        f"{B64['md5']},{B64['md5']}",
        B64["sha1"],
        "é" * 24,
        "\udcff" * 24,
    ],
)
@pytest.mark.parametrize("field", ["Content-MD5: {}", "x-goog-hash: md5={}", "Repr-Digest: md5=:{}:", "Digest: md5={}"])
def test_malformed(field: str, value: str) -> None:
    """A value that is not exactly one digest in base64 is passed over, where it stands and however it came about."""
    # In a list the comma ends a value, and what comes before it is a good one.
    line, expected = field.format(value), ["md5"] if "," in value and field.startswith(("x-goog", "Digest")) else []

    assert expected == names([line], whole=True)


#: Pieces that headers are made of, so that random ones get past the first character.
PIECES = st.lists(
    st.sampled_from(
        ["sha-256", "md5", "crc32c", "=", ":", ",", ";", " ", '"', "\\", "-1", "a", "?1", *B64.values(), "FULL_OBJECT"]
    )
    | st.text(max_size=4),
    max_size=12,
).map("".join)
FIELDS = st.sampled_from(
    ["repr-digest", "content-digest", "digest", "x-goog-hash", "content-md5", "x-ms-blob-content-md5", "content-range"]
    + ["x-amz-checksum-type", "x-goog-stored-content-encoding", "content-encoding", "etag"]
    + [f"x-amz-checksum-{name}" for name in DIGEST_SIZES]
)


@given(pairs=st.lists(st.tuples(FIELDS, PIECES), max_size=8))
def test_any_headers(pairs: list[tuple[str, str]]) -> None:
    """Whatever a server sends: no error, one value for an algorithm, and not another one for a part."""
    found = [promised(Headers(pairs), whole=whole) for whole in (True, False)]
    of_all, of_part = ({one.algorithm: one.digest for one in each} for each in found)

    for each in found:
        order = [one.algorithm for one in each]
        assert [name for name in DIGEST_SIZES if name in order] == order
    assert {} == {name: of_part[name] for name in of_all.keys() & of_part.keys() if of_all[name] != of_part[name]}


@pytest.mark.parametrize("piece", ["a", "a,", 'a="', '"', ";a", "; ", " ", ":", "=:", "a=:", ",\t", "\\", "a=1;"])
def test_long_fields_are_read_in_time(piece: str) -> None:
    """A field as long as an HTTP library lets pass, made to be read again and again, is done with at once."""
    text = piece * (64 * 1024 // len(piece))
    headers = Headers([("repr-digest", text), ("repr-digest", f"a={text}"), ("digest", text), ("x-goog-hash", text)])
    began = time.process_time()

    assert () == promised(headers, whole=True)
    assert 2.0 > time.process_time() - began
