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
    answers: list[bool] = []
    # a look-up of a name has no time limit of its own, so it is left behind in a thread
    asking = threading.Thread(
        target=lambda: answers.append(_connects(asked.hostname, asked.port, asked.scheme))
    )
    asking.daemon = True
    asking.start()
    asking.join(PATIENCE)
    return bool(answers and answers[0])


def _connects(host: str | None, port: int | None, scheme: str) -> bool:
    try:
        socket.create_connection((host or "", port or PORTS.get(scheme, 443)), timeout=PATIENCE).close()
    except OSError:
        return False
    return True
