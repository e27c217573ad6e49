"""history.js in the head of the one HTML page that Streamlit serves, so that it is there before anything else.

A script that a page brings comes too late: by then what the page has written into its address is in the history.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

SCRIPT = f"<script>{Path(__file__).with_name('history.js').read_text()}</script>".encode()
HEAD = b"<head>"
# Of a request: what would make the answer one that cannot be changed, because it is compressed, or "not modified".
LEFT_OUT = {b"accept-encoding", b"if-none-match", b"if-modified-since"}


class HeadScript:
    """ASGI middleware: puts SCRIPT behind the first HEAD of a response of HTML; all else passes as it is."""

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or "." in scope["path"].rpartition("/")[2]:
            await self.app(scope, receive, send)
            return
        start: dict = {}
        body: list[bytes] = []

        async def changed(message: dict) -> None:
            if message["type"] == "http.response.start" and _is_html(message["headers"]):
                start.update(message)
            elif start and message["type"] == "http.response.body":
                body.append(message.get("body", b""))
                if not message.get("more_body"):
                    whole = b"".join(body).replace(HEAD, HEAD + SCRIPT, 1)
                    headers = [pair for pair in start["headers"] if pair[0] != b"content-length"]
                    await send(start | {"headers": [*headers, (b"content-length", str(len(whole)).encode())]})
                    await send({"type": "http.response.body", "body": whole})
            else:
                await send(message)
        plain = [pair for pair in scope["headers"] if pair[0].lower() not in LEFT_OUT]
        await self.app(scope | {"headers": plain}, receive, changed)


def _is_html(headers: list[tuple[bytes, bytes]]) -> bool:
    return dict(headers).get(b"content-type", b"").startswith(b"text/html")
