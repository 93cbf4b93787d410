"""One rule says whether a hub is asked, and an answer comes within seconds."""

import socket

import pytest

from mmx.core import network


@pytest.mark.parametrize("name", network.OFFLINE)
@pytest.mark.parametrize(("value", "is_offline"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_any_of_the_variables_keeps_hubs_from_being_asked(
    name: str, value: str, is_offline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in network.OFFLINE:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, value)

    assert network.offline() is is_offline


def test_a_site_is_reached_when_its_port_takes_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert network.reachable(url)

    assert not network.reachable(url)
