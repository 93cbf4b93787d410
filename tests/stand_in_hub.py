"""A hub on this machine: as much of its protocol as making a repository, committing and fetching take."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

TOKEN = "hf_stand_in"
REPOSITORY = re.compile(r"/api/models/([^/]+/[^/]+)(?:/(\w+)(?:/([^/?]+))?)?")
RESOLVE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
LARGE = 1000
"""Bytes from which a file goes by way of the store of large files."""


class StandInHub:
    """Repositories by name, each with its branches, each a commit of files."""

    def __init__(self) -> None:
        self.branches: dict[str, dict[str, str]] = {}
        self.commits: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.large: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.refuse: int | None = None
        """The status that everything is answered with."""
        self.address = ""

    def put(self, repository: str, files: dict[str, bytes], branch: str = "main") -> str:
        """A commit that replaces or adds files; gives its number."""
        branches = self.branches.setdefault(repository, {"main": self._keep({})})
        whole = {**self.commits[branches.get(branch, branches["main"])], **files}
        branches[branch] = self._keep(whole)
        return branches[branch]

    def files(self, repository: str, branch: str = "main") -> dict[str, bytes]:
        """What a branch holds."""
        return self.commits[self.branches[repository][branch]]

    def _keep(self, files: dict[str, bytes]) -> str:
        digest = hashlib.sha1(
            repr(sorted((name, hashlib.sha1(data).hexdigest()) for name, data in files.items())).encode()
        )
        self.commits[digest.hexdigest()] = files
        return digest.hexdigest()

    def commit_of(self, repository: str, revision: str) -> str | None:
        """The commit that a branch or a number means."""
        found = self.branches.get(repository, {}).get(revision, revision)
        return found if found in self.commits else None


@contextmanager
def stand_in_hub() -> Iterator[StandInHub]:
    """A hub that listens, until it is left."""
    hub = StandInHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(hub: StandInHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self._look(body=True)

        def do_HEAD(self) -> None:
            self._look(body=False)

        def do_POST(self) -> None:
            data = self._body()
            if self._refused():
                return
            if self.headers.get("Authorization") != f"Bearer {TOKEN}" and "/lfs/" not in self.path:
                return self._say({"error": "who are you"}, 401)
            if self.path == "/api/repos/create":
                return self._create(json.loads(data))
            if self.path == "/api/validate-yaml":
                return self._say({"errors": [], "warnings": []})
            if self.path.endswith("/info/lfs/objects/batch"):
                return self._say(
                    {
                        "transfer": "basic",
                        "objects": [self._place(one) for one in json.loads(data)["objects"]],
                    }
                )
            if self.path == "/lfs/verify":
                return self._say({})
            repository, what, which = REPOSITORY.match(self.path).groups()
            if repository not in hub.branches:
                return self._missing("RepoNotFound")
            if what == "branch":
                hub.branches[repository].setdefault(which, hub.branches[repository]["main"])
                return self._say({})
            if what == "preupload":
                files = json.loads(data)["files"]
                modes = [
                    {
                        "path": one["path"],
                        "uploadMode": "lfs" if one["size"] >= LARGE else "regular",
                        "shouldIgnore": False,
                    }
                    for one in files
                ]
                return self._say({"files": modes})
            return self._commit(repository, which, data)

        def do_PUT(self) -> None:
            hub.large[self.path.rpartition("/")[2]] = self._body()
            self._say({})

        def _create(self, asked: dict) -> None:
            name = "/".join(part for part in (asked.get("organization"), asked["name"]) if part)
            if name in hub.branches:
                return self._say({"error": "it is there", "url": f"{hub.address}/{name}"}, 409)
            hub.put(name, {})
            hub.private[name] = bool(asked.get("private")) or asked.get("visibility") == "private"
            return self._say({"url": f"{hub.address}/{name}"})

        def _place(self, one: dict) -> dict:
            href = f"{hub.address}/lfs/store/{one['oid']}"
            actions = {"upload": {"href": href}, "verify": {"href": f"{hub.address}/lfs/verify"}}
            return {"oid": one["oid"], "size": one["size"], "actions": actions}

        def _commit(self, repository: str, branch: str, data: bytes) -> None:
            files = {}
            for line in data.splitlines():
                said = json.loads(line)
                if said["key"] == "file":
                    files[said["value"]["path"]] = base64.b64decode(said["value"]["content"])
                if said["key"] == "lfsFile":
                    files[said["value"]["path"]] = hub.large[said["value"]["oid"]]
            number = hub.put(repository, files, branch)
            self._say(
                {
                    "commitUrl": f"{hub.address}/{repository}/commit/{number}",
                    "commitOid": number,
                    "hookOutput": "",
                }
            )

        def _look(self, body: bool) -> None:
            if self._refused():
                return
            if found := RESOLVE.match(self.path):
                return self._file(*found.groups(), body)
            repository, _, revision = REPOSITORY.match(self.path).groups()
            commit = hub.commit_of(repository, revision or "main")
            if commit is None:
                return self._missing("RevisionNotFound" if repository in hub.branches else "RepoNotFound")
            siblings = [{"rfilename": name} for name in hub.commits[commit]]
            return self._say({"id": repository, "sha": commit, "siblings": siblings, "private": False})

        def _file(self, repository: str, revision: str, name: str, body: bool) -> None:
            commit = hub.commit_of(repository, revision)
            if commit is None:
                return self._missing("RevisionNotFound" if repository in hub.branches else "RepoNotFound")
            data = hub.commits[commit].get(name)
            if data is None:
                return self._missing("EntryNotFound", commit)
            self.send_response(200)
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header("X-Repo-Commit", commit)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if body:
                self.wfile.write(data)

        def _refused(self) -> bool:
            hub.asked.append(f"{self.command} {self.path}")
            if hub.refuse is not None:
                self._say({"error": "no"}, hub.refuse)
            return hub.refuse is not None

        def _missing(self, code: str, commit: str | None = None) -> None:
            self.send_response(404)
            self.send_header("X-Error-Code", code)
            if commit is not None:
                self.send_header("X-Repo-Commit", commit)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _say(self, value: object, status: int = 200) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    return Handler
