"""What speaks for the clients of the matrix where they choose otherwise; written by people, after a look at them."""

from __future__ import annotations

#: About all of them.
GENERAL: tuple[str, ...] = (
    (
        "Faults that wait for a later request, or for a range, are not met by a client that fetches all in one "
        "stream: fewer requests are less to go wrong. Nor does it show what such a client would have done."
    ),
    (
        "A22, A81: when nobody knows the size and the server closes the connection early, what came looks complete "
        "(RFC 9112 section 8). Only a client that was told the size, or asked for ranges, can know. Most command "
        "lines have no place for a size; their users compare a checksum instead, which this matrix leaves out for "
        "everybody."
    ),
    (
        "A68, A44 as the object: a page of HTML, or an encoded body nobody asked for, with status 200 and without any"
        " size to compare, is a file like any other to a general client. asyncdl refuses the coding because it asked "
        "for none, and the page of 'for every range' only because it is told the size there: without it, it too would "
        "take the page for the object."
    ),
    (
        "A16: the server says 416 whatever is asked. For a client that sent no Range this answer is nonsense, and an "
        "error is as good as an empty file."
    ),
    (
        "A26, A27 'always': 20,000 bytes at a time, for 3 MiB, within the patience. A client that waits a second "
        "between tries, or counts them without regard to progress, is politer to the server than it is lucky here."
    ),
    (
        "A60, A63, A65: which statuses pass is a matter of opinion. 425, 522 and 524 belong to few servers; 400 "
        "RequestTimeout is S3's alone."
    ),
    "A80 or A47 'took it' means that bytes came by a way that can be tampered with; there they were right.",
    (
        "asyncdl's settings were fitted to these scenarios, as its authors know both: with its default of up to 0.5 s "
        "before a first retry, and a larger object, it too ran into the deadline in A26 and A27 'always', and with its "
        "default of 5 s between two renewals, over one connection, in A56 of CloudFront, Hugging Face and the opaque "
        "URL. Its command has no option for those two, nor for the headers' deadline and the lowest speed, so its "
        "Python interface was called."
    ),
)

#: By the client's name.
NOTES: dict[str, tuple[str, ...]] = {
    "curl": (
        "begins every try at the first byte, so it never joins two versions of an object, at the price of time.",
        "A65: a Retry-After with a date in the past makes this version give up at once.",
        "A25: it rejects a NUL in a trailer, as RFC 9110 section 5.5 asks.",
    ),
    "curl -C -": (
        (
            "A12, A13, A20: asked to go on from the end of a complete file, the server rightly says 416, which "
            "`--fail` makes an error for ever; a loop that looks at the size would end."
        ),
        "sends no If-Range, so it cannot notice that the object changed between two runs.",
    ),
    "aria2": (
        (
            "keeps a control file (`.aria2`) beside what it leaves behind (the mark *), so that its next run resumes,"
            " and another program can see that the file is not complete."
        ),
        "A63: it repeats 502, 503 and 504 with `--retry-wait`, and nothing else, by design.",
        (
            "A36: joins parts of two versions of the same size: it compares sizes, not entity tags, unless it is "
            "given a `--checksum`."
        ),
    ),
    "wget2": (
        (
            "1.99.1, an early version, is what Debian 12 has. It ends with status 0 after most failures, so nearly "
            "all that is 'nothing' or 'WRONG' here is a wrong exit status: it had said the error to whoever reads its"
            " messages. Later versions are not judged by this."
        ),
    ),
    "rclone": (
        (
            "`copyurl` fetches again from the first byte; its resuming and parallel streams belong to remotes that it"
            " can list, with sizes and checksums."
        ),
    ),
    "hf hub": (
        (
            "retries 408 and 429 alone here, as its callers know the file's size from the Hub's metadata and can "
            "call again; and it repeats a timeout or a closed connection, but not a reset."
        ),
        "A47: the Hub redirects within https; nothing in it forbids leaving.",
    ),
    "wandb": (
        (
            "its server is an object store, which honours ranges and frames its answers well, and what it stores "
            "under one name never changes: much of A01 to A41 is not to be expected there. The digest in an "
            "artifact's manifest is compared when `Artifact.verify()` is called, not by the download itself."
        ),
        ("A30, A32: no request has a timeout, so a silent server holds a thread, and with it the process, for ever."),
        "its waits were shortened for this run; with its own it would be at a lasting 503 for twenty minutes.",
    ),
    "pip": (
        (
            "compares a hash with the index's after the download, which is not part of this; what is marked WRONG "
            "would mostly end there, or when the archive is opened."
        ),
        "A48: it rightly does not follow, and then takes the body of the redirect for the file.",
    ),
}
