# Targets: api, worker (CPU), worker-cuda. docs/deployment.md says how they fit together.

FROM node:22-bookworm-slim AS frontend
WORKDIR /app/frontend
COPY frontend/package.json frontend/package-lock.json frontend/.npmrc ./
RUN npm ci --omit=dev

FROM python:3.11-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1
RUN useradd --system --uid 10001 --home-dir /app quarterturn && mkdir -p /data && chown quarterturn /data
WORKDIR /app
COPY pyproject.toml constraints.txt LICENSE ./

# One image has torch's CPU build; `--build-arg TORCH_INDEX=…` names the index that carries it.
FROM base AS packages
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=
RUN touch README.md && pip install --extra-index-url "$TORCH_INDEX" -c constraints.txt -e ".$EXTRAS"

FROM base AS packages-cuda
RUN touch README.md && pip install -c constraints.txt -e .

FROM packages AS api
COPY core core
COPY admin admin
COPY api api
COPY frontend/pages frontend/pages
COPY frontend/static frontend/static
COPY --from=frontend /app/frontend/node_modules frontend/node_modules
USER quarterturn
EXPOSE 8000
CMD ["python", "-m", "api"]

FROM packages AS worker
COPY core core
COPY model model
COPY worker worker
USER quarterturn
CMD ["python", "-m", "worker"]

FROM packages-cuda AS worker-cuda
COPY core core
COPY model model
COPY worker worker
USER quarterturn
CMD ["python", "-m", "worker"]
