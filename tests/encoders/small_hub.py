"""A hub on this machine, which answers what huggingface_hub asks of the real one."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

MAIN, CONVERTED = "a" * 40, "b" * 40


@dataclass
class SmallHub:
    """Models by name; of each, files by commit, and where branches lead."""

    models: dict[str, dict[str, dict[str, bytes]]]
    refs: dict[str, str] = field(default_factory=lambda: {"main": MAIN, "refs/pr/7": CONVERTED})
    conversions: list[dict[str, object]] = field(default_factory=list)
    """Pull requests, as the hub lists them."""
    asked: list[str] = field(default_factory=list)
    endpoint: str = ""

    def answer(self, path: str) -> tuple[dict[str, str], bytes] | None:
        """Headers and content; None where there is nothing."""
        self.asked.append(path)
        if found := re.fullmatch(r"/api/models/(\w+/[\w.-]+)/revision/(.+)", path):
            name, revision = found[1], unquote(found[2])
            commit = self.refs.get(revision, revision)
            if commit not in self.models.get(name, {}):
                return None
            return as_json({"id": name, "sha": commit, "siblings": [], "tags": [], "private": False})
        if found := re.fullmatch(r"/api/models/(\w+/[\w.-]+)/tree/(\w+)", path):
            files = self.models[found[1]][found[2]]
            return as_json(
                [
                    {"type": "file", "path": name, "size": len(content), "oid": etag(content)}
                    for name, content in files.items()
                ]
            )
        if re.fullmatch(r"/api/models/(\w+/[\w.-]+)/discussions", path):
            return as_json({"discussions": self.conversions, "count": len(self.conversions), "start": 0})
        if found := re.fullmatch(r"/(\w+/[\w.-]+)/resolve/(\w+)/(.+)", path):
            content = self.models[found[1]][found[2]][unquote(found[3])]
            return {"ETag": f'"{etag(content)}"', "X-Repo-Commit": found[2]}, content
        return None


def conversion(number: int, author: str = "SFconvertbot") -> dict[str, object]:
    """A pull request as the hub's converter opens it."""
    return {
        "title": "Adding `safetensors` variant of this model", "num": number, "author": {"name": author},
        "createdAt": "2023-05-02T00:00:00.000Z", "status": "open", "isPullRequest": True,
        "repo": {"name": "lab/old", "type": "model"},
    }  # fmt: skip


def etag(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


def as_json(content: object) -> tuple[dict[str, str], bytes]:
    return {"Content-Type": "application/json"}, json.dumps(content).encode()


@contextmanager
def serving(hub: SmallHub) -> Iterator[SmallHub]:
    """The hub at ``endpoint``, while the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = hub.answer(urlsplit(self.path).path)
            headers, content = answer or ({"X-Error-Code": "RevisionNotFound"}, b"")
            self.send_response(200 if answer else 404)
            for name, value in ({"Content-Length": str(len(content))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET  # noqa: N815 - the server's names

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
