"""FastAPI with prometheus-fastapi-instrumentator, as its documentation sets it up."""

from prometheus_fastapi_instrumentator import Instrumentator

from benchmarks.servers import fastapi_bare

if __name__ == "__main__":
    app = fastapi_bare.make_app()
    Instrumentator().instrument(app).expose(app)
    fastapi_bare.serve(app)
