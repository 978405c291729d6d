# Builds four images: `service` (randsvc), `users` (Locust), `inbox` and `scenario`. The file uses only features that are built
# into BuildKit 0.8 (Docker 20.10). It has no `# syntax=` line, so that Docker downloads nothing but the base image.

# The base image is written out, not passed as an argument, because tools that update or check pins read this line.
FROM python:3.11.15-slim-trixie AS base
# The root file system is read-only, so Python must not write bytecode. Unbuffered output makes logs appear at once.
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PATH=/venv/bin:$PATH
WORKDIR /app

# pip is not installed in the environment, so the final images contain no installer.
# Only wheels are allowed: a package that needs a compiler is an error here.
# Behind a proxy or a mirror, configure pip with `--secret id=pip.conf,src=...` and `--secret id=ca.pem,src=...`. pip then reads
# the certificates from /run/secrets/ca.pem. Both secrets are optional and are not stored in the images.
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
# The Locust file imports only modules that need none of the service's dependencies. They are not in this image.
COPY randsvc/ randsvc/
COPY scenarios/locustfile.py scenarios/
# A numeric user id, so that Kubernetes' runAsNonRoot can check it.
USER 10001:10001
# The Locust file touches the heartbeat file at each response. An old file means that the users are stuck or get no response.
ENV PYTHONPATH=/app USERS_HEARTBEAT=/tmp/heartbeat
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 CMD ["python", "-c", \
    "import os, sys, time; sys.exit(time.time() - os.stat(os.environ['USERS_HEARTBEAT']).st_mtime > 15)"]
# These options suppress the table that Locust prints every two seconds and its log lines for each user.
ENTRYPOINT ["locust", "--locustfile", "scenarios/locustfile.py", "--headless", "--only-summary", \
    "--loglevel", "WARNING"]

# Shows the notifications that Alertmanager sends, and the runbooks that they link to.
FROM base AS inbox
COPY --from=service-packages /venv /venv
COPY randsvc/ randsvc/
COPY docs/runbooks/ docs/runbooks/
USER 10001:10001
EXPOSE 9095
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 CMD ["python", "-c", \
    "from urllib.request import urlopen; urlopen('http://127.0.0.1:9095/notifications', timeout=2)"]
ENTRYPOINT ["python", "-m", "randsvc.stack.inbox", "--host", "0.0.0.0"]

# Runs scenarios. It is a command that ends, so it has no health check.
FROM base AS scenario
COPY --from=service-packages /venv /venv
COPY randsvc/ randsvc/
COPY scenarios/*.yaml scenarios/
USER 10001:10001
ENTRYPOINT ["python", "-m", "randsvc", "scenario"]
CMD ["list"]

# This target is the last one, so that a plain `docker build .` builds the service.
FROM base AS service
COPY --from=service-packages /venv /venv
COPY randsvc/ randsvc/
# For the feedback store. A new volume that is mounted here gets this owner.
RUN install -d -o 10001 -g 10001 /var/lib/randsvc
# Mounted only by logs-volumes in docker-compose.yml, which gives the volumes of other images their owner.
RUN install -d -o 10001 -g 10001 /var/lib/otelcol /var/lib/victorialogs
COPY docs/runbooks/ docs/runbooks/
USER 10001:10001
# In a container, loopback is the container alone.
ENV RANDSVC_HOST=0.0.0.0 RANDSVC_AUTH_HOST=0.0.0.0
# 8080 is the public port, 9464 the management port.
EXPOSE 8080 9464
# A slim image has no curl. The health check asks for readiness, because an unready container should get no traffic.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 CMD ["python", "-c", \
    "from urllib.request import urlopen; urlopen('http://127.0.0.1:9464/readyz', timeout=2)"]
# The exec form makes Python process 1, so SIGTERM reaches it and the service drains.
ENTRYPOINT ["python", "-m", "randsvc"]
CMD ["serve"]
