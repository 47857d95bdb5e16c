"""Starlette, which FastAPI is built on: a mount for the admin, and files beside it."""

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route


def answers(handler):
    async def answer(request):
        return Response(headers={"X-Handler": handler})

    return answer


application = Starlette(
    routes=[
        Mount("/admin", routes=[Route("/{rest:path}", answers("admin"))]),
        Route("/{rest:path}", answers("other")),
    ]
)
