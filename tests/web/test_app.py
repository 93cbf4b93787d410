"""The JSON interface: what it answers, whom it answers, and what it never does."""

import io
from pathlib import Path

import pytest
from PIL import Image

from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.workflows import serve as workflow
from mmx.workflows.galleries import folder_index
from mmx.workflows.serve import Service
from tests.web.served_photos import serve_photos
from tests.workflows.stub_matcher import StubMatcher

web = pytest.importorskip("mmx.web.app", reason="the extra serve is not installed", exc_type=ImportError)
guard = pytest.importorskip("mmx.web.guard", reason="the extra serve is not installed", exc_type=ImportError)
pytest.importorskip("httpx2", reason="httpx2, which asks in tests, is not installed")
TestClient = pytest.importorskip("starlette.testclient").TestClient


@pytest.fixture
def service(tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> Service:
    return serve_photos(tmp_path, home, monkeypatch)


@pytest.fixture
def client(service: Service) -> TestClient:
    return TestClient(web.make_app(service, None), base_url="http://localhost")


def png(colour: str, size: tuple[int, int] = (4, 4)) -> bytes:
    held = io.BytesIO()
    Image.new("RGB", size, colour).save(held, "PNG")
    return held.getvalue()


def test_a_sentence_finds_pictures_without_telling_where_they_lie(client: TestClient, tmp_path: Path) -> None:
    answer = client.get("/api/search", params={"query": "a blue one", "top": 2})
    document = answer.json()
    assert [hit["id"] for hit in document["hits"]] == ["blue.png", "green.png"]
    assert set(document["hits"][0]) == {"rank", "score", "id", "caption", "source", "key"}
    assert document["hits"][0]["source"] == "photos"
    assert str(tmp_path) not in answer.text + client.get("/api/about").text


def test_a_picture_that_is_sent_finds_its_like_and_is_added_to_words(client: TestClient) -> None:
    alone = client.post("/api/search", content=png("red"), headers={"content-type": "image/png"}).json()
    less = client.post("/api/search", params={"query": "+ blue - red"}, content=png("red")).json()
    assert (alone["hits"][0]["id"], less["hits"][0]["id"]) == ("red.png", "blue.png")


def test_conditions_cut_offs_and_likeness(client: TestClient) -> None:
    asked = {"query": "red", "where": "name < 'r'", "min_score": "-0.5", "collapse": True}
    document = client.get("/api/search", params=asked).json()
    assert [hit["id"] for hit in document["hits"]] == ["blue.png", "green.png"]
    assert document["hits"][0]["duplicates"] == 0


def test_pictures_are_given_by_key_as_pixels_alone(client: TestClient) -> None:
    key = client.get("/api/search", params={"query": "green"}).json()["hits"][0]["key"]
    answer = client.get(f"/api/pictures/{key}", params={"size": 480})
    with Image.open(io.BytesIO(answer.content)) as image:
        assert (image.format, image.size) == ("JPEG", (40, 31))
        assert image.getpixel((9, 9))[1] > 100


@pytest.mark.parametrize(
    ("path", "params", "status", "words"),
    [
        ("/api/search", {"query": "./red.png"}, 400, "no file is opened by its name"),
        ("/api/search", {"query": "red + /etc/passwd"}, 400, "no file is opened by its name"),
        ("/api/search", {"query": "red + http://example.org/a.png"}, 400, "fetches nothing"),
        ("/api/search", {"query": " "}, 400, "nothing to look for"),
        ("/api/search", {}, 422, "query"),
        ("/api/search", {"query": "x" * 1001}, 422, "1000"),
        ("/api/search", {"query": "red", "top": 201}, 422, "200"),
        ("/api/search", {"query": "red", "where": "nope"}, 400, "columns: id, folder"),
        (
            "/api/search",
            {"query": "red", "where": "(SELECT 1 FROM read_text('/etc/passwd')) = 1"},
            400,
            "Permission",
        ),
        ("/api/pictures/0-9", {}, 400, "no picture '0-9'"),
        ("/api/pictures/..", {}, 404, "Not Found"),
        ("/api/pictures/a-b", {}, 400, "no picture 'a-b'"),
        ("/api/pictures/0-0", {"size": 9000}, 400, "480, 1600"),
        ("/api/evidence/0-0", {"query": "red"}, 400, "Methods that do"),
    ],
)
def test_what_cannot_be_asked_is_answered_with_a_reason(
    client: TestClient, path: str, params: dict[str, str], status: int, words: str
) -> None:
    answer = client.get(path, params=params)
    assert answer.status_code == status
    assert words in answer.text


def test_what_is_no_picture_or_too_large_is_refused(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "not a picture" in client.post("/api/search", content=b"\x00\x01").json()["error"]
    monkeypatch.setattr(workflow, "MOST_PIXELS", 15)
    assert "4x4 pixels are more than 15" in client.post("/api/search", content=png("red")).json()["error"]
    monkeypatch.setattr(guard, "MOST_BYTES", 10)
    assert client.post("/api/search", content=png("red")).status_code == 413
    assert client.post("/api/search", content=iter([b"x"])).status_code == 413


def test_only_this_machine_by_its_own_name_may_ask_without_a_token(client: TestClient) -> None:
    assert client.get("/api/about", headers={"host": "evil.example"}).status_code == 403
    assert client.get("/api/about", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert client.get("/api/about", headers={"host": "127.0.0.1:8333"}).status_code == 200


def test_with_a_token_nothing_is_told_without_it(service: Service) -> None:
    client = TestClient(web.make_app(service, "secret"), base_url="http://photos.example")
    for path in ("/", "/api/about", "/openapi.json", "/static/page.js", "/?token=wrong"):
        assert client.get(path).status_code == 401
    assert client.get("/api/about", headers={"authorization": "Bearer secret"}).status_code == 200
    page = client.get("/?token=secret&query=red")
    assert (page.status_code, str(page.url)) == (200, "http://photos.example/?query=red")
    assert client.get("/api/about").status_code == 200


def test_pages_come_from_here_and_run_nothing_of_others(client: TestClient) -> None:
    for path in ("/", "/docs"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "http://" not in answer.text and "https://" not in answer.text
    assert client.get("/static/../app.py").status_code == 404


def test_the_interface_describes_itself(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {
        "/api/about", "/api/search", "/api/pictures/{key}", "/api/evidence/{key}", "/api/refresh"
    }  # fmt: skip


def test_it_follows_its_folder_when_told_and_an_index_brought_up_to_date_by_others(
    client: TestClient, tmp_path: Path, home: Home
) -> None:
    Image.new("RGB", (40, 50), "red").save(tmp_path / "photos" / "again.png")
    assert client.get("/api/about").json()["pictures"] == 4
    assert client.post("/api/refresh").json()["pictures"] == 5
    (tmp_path / "photos" / "again.png").unlink()
    folder_index(StubMatcher(), tmp_path / "photos", home, SilentReporter())
    assert client.get("/api/search", params={"query": "red"}).json()["size"] == 4
