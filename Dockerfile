# Images from one file: `service` (randsvc), `users` (Locust), `inbox` and `scenario`. Only features that BuildKit 0.8 (Docker 20.10)
# has built in, and no `# syntax=` line, so that nothing but the base image is downloaded to read this file.

# The one image name is written out here, not passed as an argument: tools that update or check pins read it.
FROM python:3.11.15-slim-trixie AS base
# Nothing is byte-compiled at run time, as the root file system is read-only; logs leave the process at once.
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PATH=/venv/bin:$PATH
WORKDIR /app

# pip stays outside the environment it fills, so that the final images copy packages and nothing that installs them.
# Wheels only: a package that would need a compiler is an error here instead of a larger image.
# Behind a proxy or a mirror, `--secret id=pip.conf,src=...` and `--secret id=ca.pem,src=...` configure pip (which then
# finds the authorities at /run/secrets/ca.pem); both are optional and leave no trace in the images.
FROM base AS packages
RUN python -m venv --without-pip /venv
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ONLY_BINARY=:all: PIP_REQUIRE_HASHES=1

FROM packages AS service-packages
COPY requirements/run.txt .
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.pem \
    pip --python /venv/bin/python install -r run.txt

FROM packages AS users-packages
COPY requirements/users.txt .
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.pem \
    pip --python /venv/bin/python install -r users.txt

FROM base AS users
COPY --from=users-packages /venv /venv
# The Locust file imports what needs none of the service's dependencies, which are not in this image.
COPY randsvc/ randsvc/
COPY scenarios/locustfile.py scenarios/
# Numeric, so that Kubernetes' runAsNonRoot can check it.
USER 10001:10001
# The Locust file touches its heartbeat at each answered request; older than this, the users are stuck or unanswered.
ENV PYTHONPATH=/app USERS_HEARTBEAT=/tmp/heartbeat
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 CMD ["python", "-c", \
    "import os, sys, time; sys.exit(time.time() - os.stat(os.environ['USERS_HEARTBEAT']).st_mtime > 15)"]
# Without the table every two seconds and three lines for each user who comes or goes.
ENTRYPOINT ["locust", "--locustfile", "scenarios/locustfile.py", "--headless", "--only-summary", \
    "--loglevel", "WARNING"]

# What Alertmanager sends, to look at.
FROM base AS inbox
COPY --from=service-packages /venv /venv
COPY randsvc/ randsvc/
USER 10001:10001
EXPOSE 9095
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 CMD ["python", "-c", \
    "from urllib.request import urlopen; urlopen('http://127.0.0.1:9095/notifications', timeout=2)"]
ENTRYPOINT ["python", "-m", "randsvc.stack.inbox", "--host", "0.0.0.0"]

# Incidents to run: a command that ends, so it has no health.
FROM base AS scenario
COPY --from=service-packages /venv /venv
COPY randsvc/ randsvc/
COPY scenarios/*.yaml scenarios/
USER 10001:10001
ENTRYPOINT ["python", "-m", "randsvc", "scenario"]
CMD ["list"]

# Last, so that a plain `docker build .` makes the service.
FROM base AS service
COPY --from=service-packages /venv /venv
COPY randsvc/ randsvc/
USER 10001:10001
# 8080 is the public port, 9464 the management port.
EXPOSE 8080 9464
# There is no curl in a slim image. A container's health is its readiness: without it no traffic should come.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 CMD ["python", "-c", \
    "from urllib.request import urlopen; urlopen('http://127.0.0.1:9464/readyz', timeout=2)"]
# The exec form makes Python process 1, so SIGTERM reaches it and the service drains.
ENTRYPOINT ["python", "-m", "randsvc"]
CMD ["serve"]
