"""What documents there are: lists, tags, pages, and a search for words."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from benchwire.events.testing.eventually import eventually
from benchwire.web.testing import refused

Upload = Callable[..., Awaitable[dict[str, Any]]]


async def test_documents_are_listed_newest_first_and_filtered(client: httpx.AsyncClient, upload: Upload) -> None:
    for number in range(5):
        await upload(client, f"Report-{number}.txt", tags="all" + (",odd" if number % 2 else ""))
    await upload(client, "100%_sure.md", tags="odd")

    async def names(**query: Any) -> tuple[list[str], int]:
        answer = await client.get("/documents", params=query)
        assert answer.status_code == 200
        return [one["filename"] for one in answer.json()], int(answer.headers["x-total-count"])

    assert (await names())[0][:2] == ["100%_sure.md", "Report-4.txt"]
    assert (await names())[1] == 6
    assert await names(filename="report-", limit=2, offset=1) == (["Report-3.txt", "Report-2.txt"], 5)
    assert await names(filename="%_") == (["100%_sure.md"], 1)
    assert await names(tags="odd") == (["100%_sure.md", "Report-3.txt", "Report-1.txt"], 3)
    assert await names(tags="all, odd") == (["Report-3.txt", "Report-1.txt"], 2)
    assert await names(tags="all,odd", filename="3") == (["Report-3.txt"], 1)
    assert await names(tags="nobody") == ([], 0)
    assert await names(limit=0) == ([], 6)
    for query in ({"limit": -1}, {"limit": "many"}, {"offset": -1}, {"limit": 10**9}, {"offset": 10**30}):
        refused(await client.get("/documents", params=query), 400)


async def test_tags_are_counted(client: httpx.AsyncClient, upload: Upload) -> None:
    assert (await client.get("/documents/tags")).json() == {"tags": []}
    first = await upload(client, tags="b,a")
    await upload(client, tags="c,b")
    expected = [{"name": "b", "count": 2}, {"name": "a", "count": 1}, {"name": "c", "count": 1}]
    assert (await client.get("/documents/tags")).json() == {"tags": expected}
    await client.patch(f"/documents/{first['id']}", json={"tags": ["c"]})
    expected = [{"name": "c", "count": 2}, {"name": "b", "count": 1}]
    assert (await client.get("/documents/tags")).json() == {"tags": expected}
    await client.delete(f"/documents/{first['id']}")
    expected = [{"name": "b", "count": 1}, {"name": "c", "count": 1}]
    assert (await client.get("/documents/tags")).json() == {"tags": expected}


async def test_a_page_leads_to_the_next_however_deep_it_is(client: httpx.AsyncClient, upload: Upload) -> None:
    for number in range(5):
        await upload(client, f"log-{number}.txt", tags="all" + (",odd" if number % 2 else ""))

    async def pages(**query: str) -> list[list[str]]:
        found, cursor = [], ""
        while True:
            answer = await client.get("/documents", params={"limit": "2", "cursor": cursor, **query})
            assert answer.status_code == 200, answer.text
            found.append([one["filename"][4] for one in answer.json()])
            cursor = answer.headers.get("x-next-cursor", "")
            if not cursor:
                return found

    assert await pages() == [["4", "3"], ["2", "1"], ["0"]]
    assert await pages(filename="LOG") == [["4", "3"], ["2", "1"], ["0"]]
    assert await pages(tags="all") == [["4", "3"], ["2", "1"], ["0"]]
    assert await pages(tags="odd,all", filename="-") == [["3", "1"], []]
    for nonsense in ("x", "-1", "9" * 30, "\u0661"):
        assert "cursor" in refused(await client.get("/documents", params={"cursor": nonsense}), 400)


async def search(client: httpx.AsyncClient, q: str, **query: str) -> list[dict[str, Any]]:
    answer = await client.get("/documents", params={"q": q, **query})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    assert int(answer.headers["x-total-count"]) >= len(found)
    return found


async def test_texts_are_found_by_their_words_the_best_first(client: httpx.AsyncClient, upload: Upload) -> None:
    readme = await upload(
        client, "README.md", b"# Blinker\n\nToggles the LED of the board. " + b"filler " * 200 + b"esp_err_t x;"
    )
    source = await upload(client, "blinker.c", b"int main(void) { led_toggle(); }", kind="text/x-c", tags="firmware")
    latin = await upload(client, "latin.txt", "Größe über alles".encode("latin-1"))
    image = await upload(
        client, "led.bin", b"\0\1led\0", kind="application/octet-stream", metadata='{"description": "an image"}'
    )
    same = await upload(client, "copy.md", b"# Blinker")

    async def ids(q: str, **query: str) -> list[str]:
        return [one["id"] for one in await search(client, q, **query)]

    async def indexed() -> bool:
        return same["id"] in await ids("blinker")

    await eventually(indexed)
    assert (await ids("blinker"))[0] == source["id"]  # a name counts more than a text
    assert set(await ids("BLINKER")) == {source["id"], readme["id"], same["id"]}
    assert await ids("toggles board") == [readme["id"]]
    assert await ids('"toggles board"') == []
    assert await ids('"the board"') == [readme["id"]]
    assert await ids("blink* -toggles -led") == [same["id"]]
    assert await ids("esp_err_t") == [readme["id"]]
    assert await ids("grosse") == []
    assert await ids("große") == await ids("Größe") == [latin["id"]]
    assert await ids("image") == [image["id"]]
    assert await ids("firmware") == [source["id"]]
    assert await ids("blinker", tags="firmware") == [source["id"]]
    assert await ids("blinker", filename="copy") == [same["id"]]
    assert len(await ids("blinker", limit="1", offset="1")) == 1
    (found,) = await search(client, "esp_err_t")
    assert "\x02esp_err_t\x03" in found["snippet"].replace("\x03_\x02", "_")
    assert found["score"] > 0
    assert {**found, "snippet": 0, "score": 0} == {**readme, "snippet": 0, "score": 0}


async def test_a_search_follows_what_changes_and_goes(client: httpx.AsyncClient, upload: Upload) -> None:
    made = await upload(client, "a.txt", b"marmalade")
    await eventually(lambda: search(client, "marmalade"))
    await client.patch(f"/documents/{made['id']}", json={"description": "breakfast", "tags": ["sweet"]})
    await eventually(lambda: search(client, "breakfast marmalade sweet"))
    await client.delete(f"/documents/{made['id']}")
    assert await search(client, "marmalade") == []


async def test_no_question_is_too_strange(client: httpx.AsyncClient) -> None:
    questions = [
        '"',
        "'",
        "*",
        "AND",
        "a OR",
        "NEAR(",
        "x:y",
        "-",
        "--",
        "-a",
        "^a",
        "{a}",
        "(",
        '""" a',
        "💥",
        "+",
        "a*b",
    ]
    for q in [*questions, "\0", "a\0b", "a" * 5000, "a " * 2000]:
        assert isinstance(await search(client, q), list), q
