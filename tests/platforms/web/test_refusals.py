"""Requests that the web app refuses, over a real socket."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.platforms.web.test_api import site

NO_COOKIE = ("Cookie", "minidalle=no")


async def test_page_loads_nothing_from_other_sites(tmp_path: Path) -> None:
    """Every file has a policy against scripts, frames and images of other sites."""
    async with site(tmp_path) as here:
        for path in ("/", "/static/app.js"):
            async with here.session.get(here.url + path) as response:
                assert response.status == 200
                assert "default-src 'self'" in response.headers["Content-Security-Policy"]
                assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert await here.get("/healthz") == (200, {"status": "ok"})
        for path in ("/static/", "/static/..%2Fserver.py", "/static/none.js", "/none"):
            async with here.session.get(here.url + path) as response:
                assert response.status in (403, 404)


async def test_other_host_names_are_refused(tmp_path: Path) -> None:
    """Without a token the web app answers only to the names of this machine."""
    async with site(tmp_path) as here:
        for host in ("evil.example", "evil.example:80", "localhost.evil.example:80", "127.0.0.1.evil.example", "x@y"):
            for path in ("/", "/api/threads", "/healthz", "/static/app.js"):
                refusal = {"error": "This page is available only under this computer's own name."}
                assert await here.get(path, Host=host) == (403, refusal)
        for host in ("localhost", "localhost:8642", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8642"):
            assert await here.get("/api/threads", Host=host) == (200, {"threads": []})


async def test_token_gives_access(tmp_path: Path) -> None:
    """A bearer header gives access for one request, a link with the token for the browser."""
    async with site(tmp_path, "open sesame; ü") as here:
        digest = here.files.put(b"known")
        for path in ("/", "/static/app.js", f"/pictures/{digest}.png", "/api/threads", "/api/threads?token=no"):
            for name, value in (("X", "y"), ("Authorization", "Bearer no"), ("Authorization", "Bearer "), NO_COOKIE):
                status, body = await here.get(path, **{name: value})
                assert (status, "token" in body["error"]) == (401, True)
        bearer = {"Authorization": "Bearer open sesame; ü"}
        assert await here.get("/api/threads", **bearer, Host="evil.example") == (200, {"threads": []})
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
            link = {"token": "open sesame; ü"}
            async with browser.get(f"{here.url}/", params=link, allow_redirects=False) as response:
                assert (response.status, response.headers["Location"]) == (303, "/")
                assert {"HttpOnly", "SameSite=Lax"} <= set(response.headers["Set-Cookie"].split("; "))
            for path in ("/", "/static/app.js", "/api/threads"):
                async with browser.get(here.url + path) as response:
                    assert (response.status, response.headers["Cache-Control"]) == (200, "no-cache")


@pytest.mark.parametrize("token", [None, "sesame"])
async def test_header_that_is_no_text_is_refused(tmp_path: Path, token: str | None) -> None:
    """Bytes that are no UTF-8 are refused like any other wrong token."""
    async with site(tmp_path, token) as here:
        host, port = here.url.removeprefix("http://").split(":")
        for header in (b"Authorization: Bearer \xff", b"Cookie: minidalle=\xff", b"Host: \xff"):
            reader, writer = await asyncio.open_connection(host, int(port))
            name = b"" if header.startswith(b"Host") else b"Host: localhost\r\n"
            writer.write(b"GET /api/threads HTTP/1.1\r\nConnection: close\r\n" + name + header + b"\r\n\r\n")
            status = int((await reader.read()).split()[1])
            writer.close()
            await writer.wait_closed()
            assert status == 401 if token else status in (200, 400, 403)
