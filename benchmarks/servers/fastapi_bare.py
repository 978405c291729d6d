"""Bare FastAPI on uvicorn: what its instrumentations start from."""

import asyncio
import sys

import uvicorn
from fastapi import FastAPI

from benchmarks.servers.drawing import Answer, drawing

__all__ = ("make_app", "serve")


def make_app() -> FastAPI:
    """The same handler, as FastAPI's documentation writes one."""
    draw = drawing()
    app = FastAPI()

    @app.get("/random")
    async def get_random() -> Answer:
        answer, seconds = draw()
        await asyncio.sleep(seconds)
        return answer

    return app


def serve(app: FastAPI) -> None:
    """Serve on the port of the command line, on uvloop and without access log."""
    port = int(sys.argv[1])
    uvicorn.run(
        app, host="127.0.0.1", port=port, loop="uvloop", access_log=False, log_level="warning"
    )


if __name__ == "__main__":
    serve(make_app())
