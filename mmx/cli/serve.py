"""mmx serve: a page and a JSON interface for searching, on this machine or behind a token."""

import secrets
import socket
from typing import Annotated

import typer

from mmx.cli.options import (
    DeviceOption,
    HomeOption,
    RefreshOption,
    SearchDatasetOption,
    SearchFolderOption,
    SearchModelOption,
    SearchRunOption,
    SearchSplitOption,
)
from mmx.cli.report import RichReporter, print_lines
from mmx.core.errors import MissingExtraError, UsageError
from mmx.core.home import Home


def serve(
    folder: SearchFolderOption = None,
    index: Annotated[
        str | None, typer.Option("--index", help="An index of photos by its address, as mmx search takes it.")
    ] = None,
    dataset: SearchDatasetOption = None,
    run: SearchRunOption = None,
    model: SearchModelOption = None,
    split: SearchSplitOption = None,
    refresh: RefreshOption = True,
    host: Annotated[
        str, typer.Option("--host", help="The address to listen at; others than this machine need a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="0 for any that is free.", min=0, max=65535)] = 8333,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            help="What others must know; by default one is made up where it is needed.",
            envvar="MMX_SERVE_TOKEN",
        ),
    ] = None,
    device: DeviceOption = "auto",
    home: HomeOption = None,
) -> None:
    """Search from a page in the browser, or by a JSON interface."""
    from mmx.workflows.search_settings import SearchSettings
    from mmx.workflows.serve import Service

    try:
        import uvicorn

        from mmx.web.app import make_app
        from mmx.web.guard import LOOPBACK
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"mmx serve needs '{error.name}'. Install it: pip install 'mmx[serve]'"
        ) from error
    if token is None and host not in LOOPBACK:
        token = secrets.token_urlsafe(24)
    taken = _listen(host, port)
    settings = SearchSettings(
        run=run,
        model=model,
        folder=folder,
        index=index,
        dataset=dataset,
        split=split,
        refresh=refresh or folder is None,
        home=Home.find(home),
        device=device,
    )
    with taken:
        service = Service(settings, RichReporter())
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{taken.getsockname()[1]}/" + (f"?token={token}" if token else "")
        print_lines(f"searching at {address} (Ctrl-C ends it)")
        server = uvicorn.Server(
            uvicorn.Config(make_app(service, token), log_level="warning", server_header=False)
        )
        server.run(sockets=[taken])


def _listen(host: str, port: int) -> socket.socket:
    """The address, taken before anything is encoded.

    Raises:
        UsageError: when it cannot be had.
    """
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(kind, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
    except OSError as error:
        taken.close()
        raise UsageError(
            f"'{host}' port {port} cannot be had: {error.strerror}. Take another: --port 0"
        ) from error
    return taken
