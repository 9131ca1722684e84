"""Calls that could be read in two ways, that are odd, or that have no end."""

from tests.service.web.gated import CALL, CHUNKED, HOST, WEBSOCKET, Service, posted

SHAPES = {
    "two lengths": posted(b"Content-Length: 1", b"Content-Length: 2", body=b"ab"),
    "the same length twice": posted(b"Content-Length: 2", b"Content-Length: 2", body=b"ab"),
    "a list of lengths": posted(b"Content-Length: 2, 2", body=b"ab"),
    "length and chunks": posted(b"Content-Length: 1", CHUNKED),
    "chunks and length": posted(CHUNKED, b"Content-Length: 1"),
    "chunks of another name": posted(b"Transfer-Encoding: xchunked"),
    "chunks with a tab": posted(b"Transfer-Encoding: \x0bchunked"),
    "chunks twice": posted(CHUNKED, CHUNKED),
    "chunks and then not": posted(CHUNKED, b"Transfer-Encoding: identity"),
    "compressed chunks": posted(b"Transfer-Encoding: gzip, chunked"),
    "chunks in HTTP/1.0": posted(CHUNKED, version=b"1.0"),
    "a length with a sign": posted(b"Content-Length: +2", body=b"ab"),
    "a negative length": posted(b"Content-Length: -2", body=b"ab"),
    "a length in hex": posted(b"Content-Length: 0x2", body=b"ab"),
    "a length beyond all": posted(b"Content-Length: 99999999999999999999", body=b"ab"),
    "a length with more zeros than anybody reads": posted(b"Content-Length: " + b"0" * 5000 + b"2", body=b"ab"),
    "a space before the colon": posted(b"Content-Length : 2", body=b"ab"),
    "a chunk beyond all": posted(CHUNKED, body=b"fffffffffffffffff\r\na\r\n0\r\n\r\n"),
    "a negative chunk": posted(CHUNKED, body=b"-1\r\na\r\n0\r\n\r\n"),
    "a chunk in C": posted(CHUNKED, body=b"0x1\r\na\r\n0\r\n\r\n"),
    "a chunk that is longer": posted(CHUNKED, body=b"1\r\nab\r\n0\r\n\r\n"),
    "chunks with bare line feeds": posted(CHUNKED, body=b"1\na\n0\n\n"),
    "a line feed in what a chunk says": posted(CHUNKED, body=b"1;\n\na\r\n0\r\n\r\n"),
    "a length behind chunks": posted(CHUNKED, body=b"1\r\na\r\n0\r\nContent-Length: 9\r\n\r\n"),
    "a folded header": b"GET /things HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n",
    "bare line feeds": b"GET /things HTTP/1.1\nHost: localhost\n\n",
    "bare carriage returns": b"GET /things HTTP/1.1\rHost: localhost\r\r",
    "a line feed in a header": b"GET /things HTTP/1.1\r\nX: a\nHost: localhost\r\n\r\n",
    "a null in a header": b"GET /things HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n",
    "a null in the path": b"GET /thin\0gs HTTP/1.1\r\n" + HOST + b"\r\n",
    "bytes in the path": b"GET /th\xc3\xbcngs HTTP/1.1\r\n" + HOST + b"\r\n",
    "a header without a name": b"GET /things HTTP/1.1\r\n" + HOST + b": a\r\n\r\n",
    "no host": b"GET /things HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /things HTTP/1.1\r\n" + HOST + b"Host: evil.example\r\n\r\n",
    "two tokens": b"GET /things HTTP/1.1\r\n" + HOST + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
    "a target at another host": b"GET http://evil.example/things HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target with a user": b"GET http://a@localhost/things HTTP/1.1\r\n" + HOST + b"\r\n",
    "HTTP/0.9": b"GET /things\r\n\r\n",
    "HTTP/1.2": b"GET /things HTTP/1.2\r\n" + HOST + b"\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a method that nobody knows": b"BREW /things HTTP/1.1\r\n" + HOST + b"\r\n",
    "a WebSocket in HTTP/1.0": WEBSOCKET.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n",
    "a WebSocket with a body": WEBSOCKET + b"Content-Length: 3\r\n\r\nabc",
    "a WebSocket with a header that is too long for one": WEBSOCKET + b"X: " + b"x" * 9000 + b"\r\n\r\n",
}


async def test_what_could_be_read_in_two_ways_is_refused_and_reaches_no_route(service: Service) -> None:
    for name, call in SHAPES.items():
        line = await service.open(call)
        status, _ = await line.answer()
        assert status == 400, name
        assert await line.rest() == b"", name
    assert service.app.state.calls == 0
    assert service.gate.refusals["malformed"] == len(SHAPES)
    assert await service.is_well()


async def test_what_is_odd_and_means_one_thing_is_answered(service: Service) -> None:
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
    for call, expected in {
        b"GET http://localhost/things HTTP/1.1\r\n" + HOST + b"\r\n": (200, "things "),
        b"GET /things HTTP/1.0\r\n\r\n": (200, "things "),
        b"\r\n\r\n" + CALL: (200, "things "),
        b"GET /things? HTTP/1.1\r\n" + HOST + b"Accept-Encoding: *;q=0, br;q=9, ,;\r\n\r\n": (200, "things "),
        posted(CHUNKED, body=b"1;a=b\r\na\r\n0\r\nX-Trailer: seen\r\n\r\n"): (200, "1 bytes"),
        posted(b"Expect: tea", b"Content-Length: 3", body=b"abc"): (200, "3 bytes"),
        posted(b"Content-Encoding: identity", b"Content-Length: 3", body=b"abc"): (200, "3 bytes"),
        # Java's client offers HTTP/2 so with its first call, whatever that is.
        posted(upgrade.removesuffix(b"\r\n"), b"Content-Length: 3", body=b"abc"): (200, "3 bytes"),
        b"GET /things HTTP/1.1\r\n" + HOST + upgrade + b"\r\n": (200, "things "),
        b"GET /things HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n": (200, "things "),
    }.items():
        assert await service.told(call) == expected, call
    for method, status in {"CONNECT": 405, "TRACE": 405, "PROPFIND": 405, "OPTIONS *": 404}.items():
        target = method if " " in method else f"{method} /things" if method != "CONNECT" else "CONNECT localhost:80"
        assert (await service.told(f"{target} HTTP/1.1\r\n".encode() + HOST + b"\r\n"))[0] == status


async def test_a_client_that_waits_before_it_sends_its_body_is_told_to_go_on(service: Service) -> None:
    line = await service.open(posted(b"Expect: 100-continue", b"Content-Length: 3", body=b""))
    assert await line.answer() == (100, "")
    line.writer.write(b"abc")
    assert await line.answer() == (200, "3 bytes")


async def test_calls_behind_an_offer_of_another_protocol_are_answered_too(service: Service) -> None:
    offer = b"GET /things HTTP/1.1\r\n" + HOST + b"X-Number: %d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    line = await service.open(b"".join(offer % number for number in range(20)))
    for number in range(20):
        assert await line.answer() == (200, f"things {number}")


async def test_a_compressed_body_is_not_unpacked(service: Service) -> None:
    for coding in (b"gzip", b"deflate", b"br", b"zstd", b"identity, gzip", b"nonsense"):
        status, sentence = await service.told(posted(b"Content-Encoding: " + coding, b"Content-Length: 3", body=b"abc"))
        assert (status, "Content-Encoding" in sentence) == (415, True)
    assert service.app.state.calls == 0


# How much


async def test_a_head_has_a_size(service: Service) -> None:
    def call(path: int = 0, value: int = 0, fields: int = 0) -> bytes:
        headers = b"X-A: %b\r\n" % (b"a" * value) + b"X: y\r\n" * fields
        return b"GET /things?%b HTTP/1.1\r\n" % (b"q" * path) + HOST + headers + b"\r\n"

    for fits in (call(60_000), call(0, 60_000), call(30_000, 30_000), call(0, 0, 126)):
        assert (await service.told(fits))[0] == 200
    for status, too_large in [
        (414, call(66_000)), (414, call(1_000_000)), (431, call(0, 66_000)), (431, call(0, 1_000_000)), (431, call(20_000, 50_000)),
        (431, call(0, 0, 127)), (431, call(0, 0, 10_000)), (431, WEBSOCKET + b"X: y\r\n" * 200 + b"\r\n"),
    ]:  # fmt: skip
        assert (await service.told(too_large))[0] == status, too_large[:40]
    assert await service.is_well()


async def test_what_has_no_end_is_cut_off(service: Service) -> None:
    chunk = posted(CHUNKED, body=b"1\r\na\r\n")
    for begin in (b"GET /things?", CALL[:-2] + b"X: ", CALL[:-2] + b"x", chunk + b"1;x=", chunk + b"0\r\nX: "):
        line = await service.open(begin)
        assert await line.send_until_cut_off(b"x" * 10_000) < 20 << 20, begin
        assert await service.is_well()


async def test_what_stands_behind_a_body_is_no_header(service: Service) -> None:
    call = (
        b"GET /things HTTP/1.1\r\n"
        + HOST
        + CHUNKED
        + b"\r\n\r\n0\r\nX-Trailer: seen\r\nAuthorization: Bearer x\r\n\r\n"
    )
    assert await service.told(call) == (200, "things ")


async def test_of_calls_that_come_before_their_turn_only_some_are_taken_and_those_are_answered(
    service: Service,
) -> None:
    calls = b"".join(CALL[:-2] + b"X-Number: %d\r\n\r\n" % number for number in range(3000))
    line = await service.open(calls)
    for number in range(33):
        assert await line.answer() == (200, f"things {number}")
    await line.rest()
    assert service.app.state.calls < 100
    assert service.gate.refusals["pipelined"] == 1
    some = await service.open(calls[: calls.index(b"X-Number: 20\r\n")] + b"\r\n")
    for _ in range(21):
        assert (await some.answer())[0] == 200


async def test_a_call_is_answered_whatever_comes_behind_it(service: Service) -> None:
    for behind in (b"\0\0\0", b"GET /things HTTP/1.1\r\n\r\n", WEBSOCKET + b"\r\n", posted(b"Content-Encoding: gzip")):
        line = await service.open(CALL + CALL + behind)
        assert [await line.answer(), await line.answer()] == [(200, "things ")] * 2
        assert await line.rest() == b""
    assert await service.is_well()
