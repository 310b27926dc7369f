"""One object from several places: all used, none believed without a proof, and each replaced by the others."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import asyncdl
from asyncdl.testing import Content, Fault, Origin
from tests.support.flow import KIB, PART, QUICK, absent, fetch, holds, small

SIZE = 24 * PART + 321
PATH = "/object"
#: The content of whoever lies.
OTHER = 7


@pytest.fixture
async def mirrors() -> AsyncIterator[list[Origin]]:
    """Three hosts, with nothing on them yet."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Origin(host=f"127.0.0.{last}")) for last in (1, 2, 3)]


def offer(origins: list[Origin], *, tagged_alike: bool = True, size: int = SIZE) -> Content:
    """Serve the object everywhere; one tag for all, or each its own."""
    for number, origin in enumerate(origins):
        if not tagged_alike:
            origin.add(PATH, size, etag=f'"tag-{number}"')
        else:
            origin.add(PATH, size)
    return origins[0].content(PATH)


def source(origins: list[Origin]) -> asyncdl.Mirrors:
    return asyncdl.Mirrors([origin.url(PATH) for origin in origins])


def sent(origins: list[Origin]) -> list[int]:
    return [origin.ledger.bytes_sent(PATH) for origin in origins]


def sha256(content: Content) -> str:
    return "sha256:" + content.sha256()


def digest_of(content: Content) -> dict[str, str]:
    """What a server that promises the whole object's SHA-256 adds to each response."""
    digest = base64.b64encode(hashlib.sha256(content.read(0, content.size)).digest()).decode()
    return {"Repr-Digest": f"sha-256=:{digest}:"}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


class TestTogether:
    @pytest.mark.parametrize("proof", ["tag", "checksum", "promise"])
    @pytest.mark.parametrize("declared", [False, True])
    async def test_all_are_used_and_no_byte_comes_twice(
        self, mirrors: list[Origin], tmp_path: Path, no_leaks: object, proof: str, declared: bool
    ) -> None:
        """Three places bring one object between them, whatever proves that it is one, and however it begins."""
        content = offer(mirrors, tagged_alike=proof == "tag")
        for origin in mirrors:
            origin.latency = 0.02
            if proof == "promise":
                origin.script(Fault(headers=digest_of(content)))

        result = await fetch(
            source(mirrors),
            tmp_path / "file",
            options=small(6),
            size=SIZE if declared else None,
            checksum=sha256(content) if proof == "checksum" else None,
        )
        by_each = sent(mirrors)
        requests = [len(origin.ledger.requests) for origin in mirrors]
        for origin in mirrors:
            await origin.aclose()

        assert holds(tmp_path / "file", content)
        assert SIZE == sum(by_each) == result.fetched
        assert 0 not in by_each
        assert [0, 0, 0] == [origin.ledger.repeated(PATH) for origin in mirrors]
        assert sum(requests) == result.requests
        assert 0 == result.retries
        assert (sha256(content) if proof != "tag" else None) == (str(result.checksum) if result.checksum else None)

    async def test_in_a_batch(self, mirrors: list[Origin], tmp_path: Path) -> None:
        """A row may have several places too."""
        content = offer(mirrors)
        rows = [asyncdl.Request(source(mirrors), tmp_path / name) for name in ("one", "two")]

        async with asyncdl.Downloader(options=small(), timeouts=QUICK) as downloader:
            results = [result async for result in downloader.run(rows)]

        assert [None, None] == [result.error for result in results]
        assert holds(tmp_path / "one", content)
        assert holds(tmp_path / "two", content)
        assert set(rows) == {result.request for result in results}
        assert 0 not in sent(mirrors)

    async def test_slow_one_is_used_less(self, mirrors: list[Origin], tmp_path: Path) -> None:
        """What a place is asked for goes by what it brings; nobody waits for the slowest."""
        content = offer(mirrors[:2])
        mirrors[1].rate = 8 * KIB
        mirrors[0].latency = 0.01

        async with asyncio.timeout(60):  # alone the slow one would need 200 s
            result = await fetch(source(mirrors[:2]), tmp_path / "file")

        assert holds(tmp_path / "file", content)
        assert SIZE == result.fetched
        assert len(mirrors[1].ledger.data_requests()) <= 4

    async def test_each_renews_its_own_url(self, mirrors: list[Origin], tmp_path: Path) -> None:
        """Generations and renewals are each place's own, and counted together."""
        content = offer(mirrors[:2])
        providers = [origin.provider(PATH, ttl=3600) for origin in mirrors[:2]]
        # As slow as each other, so that both are asked again and again.
        for origin in mirrors[:2]:
            origin.rate = 8 * PART

        async def expire() -> None:
            for origin, provider in zip(mirrors, providers, strict=False):
                await origin.ledger.until(lambda: len(origin.ledger.data_requests()) > 0)  # noqa: B023  # awaited
                origin.expire(provider.urls[0])

        async with asyncio.TaskGroup() as group:
            group.create_task(expire())
            result = await fetch(asyncdl.Mirrors(providers), tmp_path / "file", options=small(reuse_window=0))

        assert holds(tmp_path / "file", content)
        assert [2, 2] == [provider.calls for provider in providers]
        assert 2 == result.refreshes
        assert SIZE == result.fetched == sum(sent(mirrors))

    async def test_headers_go_where_they_are_meant_to_go(self, mirrors: list[Origin], tmp_path: Path) -> None:
        """Those of the request reach the first place alone; those of a URL its own origin alone."""
        content = offer(mirrors)
        places = [
            asyncdl.SignedUrl(origin.url(PATH), headers=(("X-Own", str(number)),))
            for number, origin in enumerate(mirrors)
        ]
        for origin in mirrors:
            origin.latency = 0.02

        await fetch(asyncdl.Mirrors(places), tmp_path / "file", headers={"Authorization": "Bearer first"})

        assert holds(tmp_path / "file", content)
        assert [{"Bearer first"}, set(), set()] == [
            set(origin.ledger.headers_seen("Authorization")) for origin in mirrors
        ]
        assert [{"0"}, {"1"}, {"2"}] == [set(origin.ledger.headers_seen("X-Own")) for origin in mirrors]

    async def test_headers_go_nowhere_without_the_first(self, mirrors: list[Origin], tmp_path: Path) -> None:
        """Where the first place's provider fails, nobody knows whom the request's headers are meant for."""
        content = offer(mirrors)

        async def fails(rejected: asyncdl.SignedUrl | None) -> str:
            raise LookupError

        places = asyncdl.Mirrors([fails, mirrors[1].url(PATH)])
        await fetch(places, tmp_path / "file", headers={"Authorization": "Bearer first"})

        assert holds(tmp_path / "file", content)
        assert [] == mirrors[1].ledger.headers_seen("Authorization")

    async def test_one_place_is_enough(self, origin: Origin, tmp_path: Path) -> None:
        """A list of one is that one."""
        content = origin.add(PATH, SIZE)

        result = await fetch(asyncdl.Mirrors([origin.url(PATH)] * 2), tmp_path / "file")

        assert holds(tmp_path / "file", content)
        assert SIZE == result.fetched == origin.ledger.bytes_sent()


class TestLies:
    """The last place has something else; not a byte of it may be in the file."""

    @pytest.mark.parametrize("declared", [False, True])
    @pytest.mark.parametrize(
        "lie",
        ["own tag", "no tag", "weak tag", "same tag, other size", "same tag, other promise", "other promise", "date"],
    )
    async def test_is_given_up(
        self, mirrors: list[Origin], tmp_path: Path, caplog: pytest.LogCaptureFixture, lie: str, declared: bool
    ) -> None:
        """What is not proven to be the object costs a warning, whatever else it has in common with it."""
        honest, liar = mirrors[:2], mirrors[2]
        content = offer(honest)
        tag = f'"{hashlib.sha256(content.read(0, SIZE)).hexdigest()}"'
        for origin in honest:
            origin.add(PATH, SIZE, etag=tag)
            origin.latency = 0.02
            if "promise" in lie:
                origin.script(Fault(headers=digest_of(content)))
        tags = {"own tag": '"other"', "no tag": None, "weak tag": f"W/{tag}", "other promise": '"x"', "date": None}
        size = SIZE - 1 if "size" in lie else SIZE
        other = liar.add(PATH, size, seed=OTHER, etag=tags.get(lie, tag))
        if "promise" in lie:
            liar.script(Fault(headers=digest_of(other)))

        result = await fetch(source(mirrors), tmp_path / "file", size=SIZE if declared else None, options=small(6))

        assert holds(tmp_path / "file", content)
        assert SIZE == result.fetched == sum(sent(honest))
        (warning,) = warnings(caplog)
        assert warning.startswith("mirror 3 (http://127.0.0.3:")
        # Asked by those who were on their way at once, and no more.
        assert len(liar.ledger.requests) <= 2

    async def test_first_to_come_is_believed(
        self, mirrors: list[Origin], tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Without a word of the caller's, nobody can say who is wrong: the object is what the first one has."""
        offer(mirrors)
        content = mirrors[0].add(PATH, SIZE, seed=OTHER)

        result = await fetch(source(mirrors), tmp_path / "file")

        assert holds(tmp_path / "file", content)
        assert SIZE == result.fetched
        assert 2 == len(warnings(caplog))

    async def test_who_contradicts_the_size_is_wrong(
        self, mirrors: list[Origin], tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Also if it is the first."""
        content = offer(mirrors)
        mirrors[0].add(PATH, SIZE + 1)

        await fetch(source(mirrors), tmp_path / "file", size=SIZE)

        assert holds(tmp_path / "file", content)
        assert ["mirror 1"] == [warning.partition(" (")[0] for warning in warnings(caplog)]

    async def test_who_contradicts_the_checksum_is_wrong(
        self, mirrors: list[Origin], tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Where its server says so itself, before any byte of it."""
        content = offer(mirrors)
        other = mirrors[0].add(PATH, SIZE, seed=OTHER)
        mirrors[0].script(Fault(headers=digest_of(other)))

        result = await fetch(source(mirrors), tmp_path / "file", checksum=sha256(content))

        assert holds(tmp_path / "file", content)
        assert SIZE == result.fetched
        assert ["mirror 1"] == [warning.partition(" (")[0] for warning in warnings(caplog)]

    @pytest.mark.parametrize("liar", [0, 1, 2])
    @pytest.mark.parametrize("size", [SIZE, 9 * KIB])
    async def test_checksum_finds_the_liar(self, mirrors: list[Origin], tmp_path: Path, liar: int, size: int) -> None:
        """A checksum admits whoever has the size: what is wrong in the end is fetched again, from one at a time."""
        content = offer(mirrors, tagged_alike=False, size=size)
        mirrors[liar].add(PATH, size, seed=OTHER, etag='"lie"')
        for origin in mirrors:
            origin.latency = 0.02

        result = await fetch(source(mirrors), tmp_path / "file", checksum=sha256(content), options=small(6))

        assert holds(tmp_path / "file", content)
        assert sha256(content) == str(result.checksum)
        assert sum(len(origin.ledger.requests) for origin in mirrors) == result.requests
        assert ["file"] == [path.name for path in tmp_path.iterdir()]

    async def test_first_with_another_size_and_a_checksum(self, mirrors: list[Origin], tmp_path: Path) -> None:
        """Whoever was first and wrong of the size does not keep the others out for good."""
        content = offer(mirrors, tagged_alike=False)
        mirrors[0].add(PATH, SIZE - 5, seed=OTHER)

        await fetch(source(mirrors), tmp_path / "file", checksum=sha256(content))

        assert holds(tmp_path / "file", content)

    async def test_headers_do_not_move_on(self, mirrors: list[Origin], tmp_path: Path) -> None:
        """Whoever is tried alone instead of the first place gets nothing that was meant for that one."""
        content = offer(mirrors[:2])
        mirrors[0].add(PATH, SIZE, seed=OTHER)

        await fetch(
            source(mirrors[:2]),
            tmp_path / "file",
            size=SIZE,
            checksum=sha256(content),
            headers={"Authorization": "Bearer first"},
        )

        assert holds(tmp_path / "file", content)
        assert {"Bearer first"} == set(mirrors[0].ledger.headers_seen("Authorization"))
        assert [] == mirrors[1].ledger.headers_seen("Authorization")

    async def test_all_wrong(self, mirrors: list[Origin], tmp_path: Path) -> None:
        """Then there is an error, and nothing at the destination."""
        content = offer(mirrors)
        wanted = sha256(Content(OTHER, SIZE))

        with pytest.raises(asyncdl.IntegrityError, match="checksum of the object"):
            await fetch(source(mirrors), tmp_path / "file", checksum=wanted)

        assert absent(tmp_path / "file")
        assert wanted != sha256(content)

    @pytest.mark.parametrize("tagged", [True, False])
    async def test_changes_in_mid_download(
        self, mirrors: list[Origin], tmp_path: Path, caplog: pytest.LogCaptureFixture, tagged: bool
    ) -> None:
        """A place that gets another version is given up, and what it sent of this one stays."""
        content = offer(mirrors[:2])
        changing = mirrors[1]
        tag = '"only here"' if tagged else None
        changing.add(PATH, SIZE, etag=tag)
        # The other one is the slower by far, so that this one is asked again.
        mirrors[0].rate = 4 * PART
        promise = digest_of(content)
        mirrors[0].script(Fault(headers=promise))
        changing.script(Fault(request=range(3), headers=promise))
        changing.script(Fault(seed=OTHER, etag='"new"' if tagged else "", headers=digest_of(Content(OTHER, SIZE))))

        result = await fetch(source(mirrors[:2]), tmp_path / "file")

        assert holds(tmp_path / "file", content)
        assert SIZE == result.fetched
        assert 3 * PART <= sum(each.sent for each in changing.ledger.data_requests()[:3])
        assert ["mirror 2"] == [warning.partition(" (")[0] for warning in warnings(caplog)]

    async def test_promise_that_is_not_kept_up(self, mirrors: list[Origin], tmp_path: Path) -> None:
        """A place without a tag is believed response by response: one without the promise is of no use."""
        content = offer(mirrors[:2])
        mirrors[1].add(PATH, SIZE, etag=None)
        promise = digest_of(content)
        mirrors[0].script(Fault(headers=promise))
        mirrors[1].script(Fault(request=0, headers=promise), Fault(seed=OTHER, etag=""))
        for origin in mirrors[:2]:
            origin.latency = 0.02

        result = await fetch(source(mirrors[:2]), tmp_path / "file")

        assert holds(tmp_path / "file", content)
        assert SIZE == result.fetched


class TestGivenUp:
    """What would have ended the download from one place costs that place alone."""

    @pytest.mark.parametrize("bad", [0, 1])
    @pytest.mark.parametrize("status", [403, 404, 410, 451, 500])
    async def test_refusals(
        self, mirrors: list[Origin], tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int, bad: int
    ) -> None:
        """A place that refuses everything, at once or after its attempts, first or later."""
        content = offer(mirrors[:2])
        mirrors[bad].script(Fault(status=status))
        mirrors[1 - bad].latency = 0.02

        result = await fetch(source(mirrors[:2]), tmp_path / "file")

        assert holds(tmp_path / "file", content)
        assert SIZE == result.fetched == mirrors[1 - bad].ledger.bytes_sent()
        if status < 500:
            assert 1 == len(warnings(caplog))
            assert len(mirrors[bad].ledger.requests) <= 3

    async def test_attempts_are_counted_for_a_place(
        self, mirrors: list[Origin], tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """One that fails each time, for whatever part, is asked no more after `Retry.attempts`."""
        content = offer(mirrors[:2])
        mirrors[0].latency = 0.02
        mirrors[1].script(Fault(status=500))
        retry = asyncdl.Retry(attempts=3, base=0.001, cap=0.001)

        result = await fetch(source(mirrors[:2]), tmp_path / "file", retry=retry)

        assert holds(tmp_path / "file", content)
        assert ["mirror 2"] == [warning.partition(" (")[0] for warning in warnings(caplog)]
        # Two more may have been on their way together with each that counted.
        assert 3 <= len(mirrors[1].ledger.requests) <= 6
        assert len(mirrors[1].ledger.requests) == result.retries + 1

    @pytest.mark.parametrize("bad", [0, 1])
    async def test_expired(
        self, mirrors: list[Origin], tmp_path: Path, caplog: pytest.LogCaptureFixture, bad: int
    ) -> None:
        """A URL that nobody renews dies, and the others go on."""
        content = offer(mirrors[:2])
        urls = [origin.presign(PATH, ttl=3600) for origin in mirrors[:2]]
        # The slower one by far, so that the other one is asked again.
        mirrors[1 - bad].rate = 4 * PART

        async def expire() -> None:
            ledger = mirrors[bad].ledger
            await ledger.until(lambda: len(ledger.data_requests()) > 0)
            mirrors[bad].expire(urls[bad])

        async with asyncio.TaskGroup() as group:
            group.create_task(expire())
            result = await fetch(asyncdl.Mirrors(urls), tmp_path / "file", options=small(reuse_window=0))

        assert holds(tmp_path / "file", content)
        assert SIZE == result.fetched
        assert [f"mirror {bad + 1}"] == [warning.partition(" (")[0] for warning in warnings(caplog)]
        assert "X-Amz-Signature" not in caplog.text

    @pytest.mark.parametrize("bad", [0, 1])
    async def test_killed_in_mid_download(
        self, mirrors: list[Origin], tmp_path: Path, no_leaks: object, bad: int
    ) -> None:
        """A server that goes away costs the bytes that were on their way, and none that had come."""
        content = offer(mirrors[:2])
        for origin in mirrors[:2]:
            origin.rate = 8 * PART

        async def kill() -> None:
            ledger = mirrors[bad].ledger
            await ledger.until(lambda: ledger.bytes_sent() > PART)
            await mirrors[bad].aclose()

        async with asyncio.TaskGroup() as group:
            group.create_task(kill())
            result = await fetch(source(mirrors[:2]), tmp_path / "file")
        for origin in mirrors:
            await origin.aclose()

        assert holds(tmp_path / "file", content)
        assert SIZE == result.fetched
        assert sum(sent(mirrors)) < SIZE + 4 * PART

    @pytest.mark.parametrize("bad", [0, 1])
    async def test_nobody_listens(self, mirrors: list[Origin], tmp_path: Path, bad: int) -> None:
        """A place that cannot be connected to."""
        content = offer(mirrors[:2])

        async with mirrors[bad].refusing():
            result = await fetch(source(mirrors[:2]), tmp_path / "file")

        assert holds(tmp_path / "file", content)
        assert SIZE == result.fetched

    @pytest.mark.parametrize("bad", [0, 1])
    async def test_silence_is_not_waited_for(self, mirrors: list[Origin], tmp_path: Path, bad: int) -> None:
        """One that answers nothing holds up nobody, however long the timeouts are."""
        content = offer(mirrors[:2])

        patient = asyncdl.Timeouts(connect=300, response=300, stall=300)
        async with mirrors[bad].silence(), asyncio.timeout(100):
            await fetch(source(mirrors[:2]), tmp_path / "file", timeouts=patient)

        assert holds(tmp_path / "file", content)

    async def test_stalls(self, mirrors: list[Origin], tmp_path: Path) -> None:
        """One that stops in the middle of its bodies; the rest of each comes from elsewhere."""
        content = offer(mirrors[:2])
        mirrors[0].latency = 0.01
        mirrors[1].script(Fault(stall_after=1000))

        result = await fetch(source(mirrors[:2]), tmp_path / "file", timeouts=asyncdl.Timeouts(stall=1.0))

        assert holds(tmp_path / "file", content)
        assert SIZE == result.fetched

    async def test_last_error_is_raised(self, mirrors: list[Origin], tmp_path: Path) -> None:
        """When all fail, it is the last one's words."""
        offer(mirrors)
        for origin, status in zip(mirrors, (404, 403, 451), strict=True):
            origin.script(Fault(status=status))

        with pytest.raises(asyncdl.HttpStatusError) as caught:
            await fetch(source(mirrors), tmp_path / "file")

        assert 451 == caught.value.status
        assert absent(tmp_path / "file")

    async def test_provider_that_fails(self, mirrors: list[Origin], tmp_path: Path) -> None:
        """One place's provider is one place's."""
        content = offer(mirrors[:2])

        async def fails(rejected: asyncdl.SignedUrl | None) -> str:
            raise LookupError("no such artifact")

        await fetch(asyncdl.Mirrors([fails, mirrors[1].url(PATH)]), tmp_path / "file")

        assert holds(tmp_path / "file", content)

    @pytest.mark.parametrize("bad", [0, 1])
    async def test_without_ranges(self, mirrors: list[Origin], tmp_path: Path, bad: int) -> None:
        """One that sends only the whole is not used while another one sends parts."""
        content = offer(mirrors[:2])
        mirrors[bad].ranges = False
        mirrors[1 - bad].latency = 0.01

        result = await fetch(source(mirrors[:2]), tmp_path / "file")

        assert holds(tmp_path / "file", content)
        assert SIZE == result.fetched == mirrors[1 - bad].ledger.bytes_sent()

    async def test_without_ranges_all(self, mirrors: list[Origin], tmp_path: Path) -> None:
        """Where none sends parts, one stream it is; when that breaks, another place begins anew."""
        content = offer(mirrors[:2])
        for origin in mirrors[:2]:
            origin.ranges = False
        mirrors[0].script(Fault(drop_after=5 * PART), Fault(status=404))

        await fetch(source(mirrors[:2]), tmp_path / "file")

        assert holds(tmp_path / "file", content)

    async def test_small_file(self, mirrors: list[Origin], tmp_path: Path) -> None:
        """What fits in one chunk is one place's matter, until that fails in the middle."""
        content = offer(mirrors[:2], size=9 * KIB)
        mirrors[0].script(Fault(drop_after=5000), Fault(status=404))

        result = await fetch(source(mirrors[:2]), tmp_path / "file")

        assert holds(tmp_path / "file", content)
        assert 9 * KIB == result.fetched
        assert 4 * KIB == mirrors[1].ledger.bytes_sent() - (9 * KIB - 5000 - 4 * KIB)

    @pytest.mark.parametrize("after", [0, 3, 8])
    async def test_cancelled(self, mirrors: list[Origin], tmp_path: Path, no_leaks: object, after: int) -> None:
        """Nothing is left at work, wherever it was."""
        offer(mirrors)
        for origin in mirrors:
            origin.rate = 2 * PART
        task = asyncio.create_task(fetch(source(mirrors), tmp_path / "file"))
        await mirrors[0].ledger.until(lambda: sum(sent(mirrors)) >= after * PART // 2)

        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for origin in mirrors:
            await origin.ledger.until(lambda: not origin.ledger.open_connections)  # noqa: B023  # awaited at once
            await origin.aclose()

        assert absent(tmp_path / "file")


class TestResumed:
    @staticmethod
    async def begin(origin: Origin, dest: Path, checksum: str | None = None) -> int:
        """Let a download from one place fail in the middle; how many bytes are there."""
        origin.script(Fault(start=12 * PART, status=451, times=1))
        with pytest.raises(asyncdl.HttpStatusError):
            await fetch(origin.url(PATH), dest, options=small(1), checksum=checksum)
        return 12 * PART

    async def test_under_any_with_a_checksum(self, mirrors: list[Origin], tmp_path: Path) -> None:
        """With the same checksum pinned, it does not matter whose tag it had."""
        content = offer(mirrors, tagged_alike=False)
        there = await self.begin(mirrors[0], tmp_path / "file", sha256(content))
        before = sum(sent(mirrors))

        result = await fetch(source(mirrors[1:]), tmp_path / "file", checksum=sha256(content))

        assert holds(tmp_path / "file", content)
        assert there == result.resumed
        assert SIZE - there == result.fetched
        assert SIZE - there + 1 == sum(sent(mirrors)) - before

    @pytest.mark.parametrize("place", [0, 1, 2])
    async def test_whose_tag_is_in_the_journal_is_found(
        self, mirrors: list[Origin], tmp_path: Path, place: int
    ) -> None:
        """All are asked before what is there is thrown away; the others are then of no use without a proof."""
        content = offer(mirrors, tagged_alike=False)
        there = await self.begin(mirrors[place], tmp_path / "file")

        result = await fetch(source(mirrors), tmp_path / "file")

        assert holds(tmp_path / "file", content)
        assert there == result.resumed
        assert SIZE - there == result.fetched

    async def test_without_a_proof_it_begins_anew(self, mirrors: list[Origin], tmp_path: Path) -> None:
        """Where no place has the tag of what is there, nothing of it is kept."""
        offer(mirrors, tagged_alike=False)
        old = mirrors[0].add(PATH, SIZE, seed=OTHER)
        await self.begin(mirrors[0], tmp_path / "file")
        content = mirrors[1].content(PATH)

        result = await fetch(source(mirrors[1:]), tmp_path / "file")

        assert holds(tmp_path / "file", content)
        assert not holds(tmp_path / "file", old)
        assert 0 == result.resumed

    async def test_dead_place_is_not_waited_for(self, mirrors: list[Origin], tmp_path: Path) -> None:
        """The one that might have had the tag does not answer: it begins anew rather than wait for it."""
        content = offer(mirrors, tagged_alike=False)
        await self.begin(mirrors[0], tmp_path / "file")

        async with mirrors[0].refusing():
            result = await fetch(source(mirrors), tmp_path / "file")

        assert holds(tmp_path / "file", content)
        assert 0 == result.resumed


class TestClass:
    def test_is_flat_and_each_once(self) -> None:
        """Lists within lists are one list, and the same place twice is one place."""
        inner = asyncdl.Mirrors(["http://a.example/", "http://b.example/"])

        assert ("http://a.example/", "http://b.example/", "http://c.example/") == asyncdl.Mirrors(
            [inner, "http://c.example/", "http://a.example/"]
        ).sources

    @pytest.mark.parametrize("wrong", [[], "http://a.example/", b"x", 7, None])
    def test_refuses(self, wrong: object) -> None:
        """No place at all, or one that is no list: a string is a list of letters to Python."""
        with pytest.raises(asyncdl.OptionsError):
            asyncdl.Mirrors(wrong)  # type: ignore[arg-type]

    async def test_every_place_is_checked(self, origin: Origin, tmp_path: Path) -> None:
        """A URL that cannot be used is a mistake, not a place to be given up."""
        origin.add(PATH, 10)

        with pytest.raises(asyncdl.OptionsError):
            await fetch(asyncdl.Mirrors([origin.url(PATH), "ftp://a.example/"]), tmp_path / "file")

        assert [] == origin.ledger.requests

    def test_repr_tells_nothing(self) -> None:
        """URLs hold secrets."""
        assert "Mirrors(<2 sources>)" == repr(asyncdl.Mirrors(["http://a.example/?key=1", "http://b.example/?key=2"]))
