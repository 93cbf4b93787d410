"""The page and the JSON interface of a search; `/openapi.json` describes the latter, `/docs` shows it."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles

from mmx import __version__
from mmx.core.errors import DataError, MmxError, UsageError
from mmx.reports.evidence_page import POLICY as EVIDENCE_POLICY
from mmx.web.guard import Guard
from mmx.workflows.serve import LONGEST_TEXT, MOST_HITS, Question, Service

STATIC = Path(__file__).parent / "static"

QueryText = Annotated[
    str, Query(max_length=LONGEST_TEXT, description='A sentence, or a sum such as "2: dog + water - grass".')
]
Top = Annotated[int, Query(ge=0, le=MOST_HITS, description="How many hits.")]
Where = Annotated[
    str, Query(max_length=LONGEST_TEXT, description="An SQL condition on the columns of the pictures.")
]
MinScore = Annotated[
    str, Query(max_length=LONGEST_TEXT, description="The least cosine, e.g. 0.3, or a share such as 90%.")
]
Collapse = Annotated[bool, Query(description="Show pictures that are nearly the same as one.")]
Size = Annotated[int, Query(description="Longest side in pixels: 480 or 1600.")]

PICTURE_BODY = {
    "requestBody": {
        "required": True,
        "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def make_app(service: Service, token: str | None) -> FastAPI:
    """The application over a search that is open."""
    app = FastAPI(title="mmx", version=__version__, docs_url=None, redoc_url=None, summary="Search by words.")
    app.middleware("http")(Guard(token))
    app.exception_handler(MmxError)(_answer_error)
    app.mount("/static", StaticFiles(directory=STATIC))

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(STATIC / "page.html")

    @app.get("/docs", include_in_schema=False)
    def docs() -> FileResponse:
        return FileResponse(STATIC / "docs.html")

    _add_interface(app, service)
    return app


def _add_interface(app: FastAPI, service: Service) -> None:
    @app.get("/api/about")
    def about() -> dict[str, Any]:
        """What is searched, and with what."""
        return service.about

    @app.get("/api/search")
    def search(
        query: QueryText,
        top: Top = 24,
        where: Where = "",
        min_score: MinScore = "",
        collapse: Collapse = False,
    ) -> dict[str, Any]:
        """The pictures nearest to a sentence or a sum of sentences."""
        return service.search(Question(query, None, top, where, min_score, collapse))

    @app.post("/api/search", openapi_extra=PICTURE_BODY)
    async def search_by_picture(
        request: Request,
        query: QueryText = "",
        top: Top = 24,
        where: Where = "",
        min_score: MinScore = "",
        collapse: Collapse = False,
    ) -> dict[str, Any]:
        """The pictures nearest to the one that is sent, and to the query added to it."""
        question = Question(query, await request.body(), top, where, min_score, collapse)
        return await run_in_threadpool(service.search, question)

    @app.get("/api/pictures/{key}", response_class=Response)
    def picture(key: str, size: Size = 480) -> Response:
        """A picture that was found, as JPEG."""
        data = service.picture(key, size)
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=60"})

    @app.get("/api/evidence/{key}", response_class=HTMLResponse)
    def evidence(key: str, query: QueryText) -> HTMLResponse:
        """A page that shows which word met which region of a picture."""
        return HTMLResponse(
            service.evidence(query, key), headers={"Content-Security-Policy": EVIDENCE_POLICY}
        )

    @app.post("/api/refresh")
    def refresh() -> dict[str, Any]:
        """Look for new and changed photos."""
        return service.refresh()


async def _answer_error(request: Request, error: MmxError) -> JSONResponse:
    status = 400 if isinstance(error, UsageError | DataError) else 500
    return JSONResponse({"error": str(error), "code": error.exit_code}, status_code=status)
