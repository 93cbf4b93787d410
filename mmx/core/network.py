"""Whether a hub may be asked, and whether it can be reached: found out in seconds, not by a long silence."""

import os
import socket
import threading
import urllib.request
from urllib.parse import urlsplit

PATIENCE = 3.0
"""Seconds to wait for a first answer, name look-up included."""
PORTS = {"http": 80, "https": 443}
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
"""Variables of the environment any of which keeps hubs from being asked."""


def offline() -> bool:
    """Whether the environment says that no hub is to be asked."""
    said = {os.environ.get(name, "").upper() for name in OFFLINE}
    return bool(said & {"1", "TRUE", "YES", "ON"})


def reachable(url: str) -> bool:
    """Whether the site of a URL, or the proxy on the way to it, takes a connection."""
    parts = urlsplit(url)
    proxy = (
        None
        if urllib.request.proxy_bypass(parts.hostname or "")
        else urllib.request.getproxies().get(parts.scheme)
    )
    asked = urlsplit(proxy if proxy is None or "://" in proxy else f"http://{proxy}") if proxy else parts
    return answers(asked.hostname or "", asked.port or PORTS.get(asked.scheme, 443))


def answers(host: str, port: int) -> bool:
    """Whether somebody takes a connection there, within PATIENCE."""
    heard: list[bool] = []
    # a look-up of a name has no time limit of its own, so it is left behind in a thread
    asking = threading.Thread(target=lambda: heard.append(_connects(host, port)))
    asking.daemon = True
    asking.start()
    asking.join(PATIENCE)
    return bool(heard and heard[0])


def _connects(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=PATIENCE).close()
    except OSError:
        return False
    return True
