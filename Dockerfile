# Two images from one source: `operator` (kopf, no scientific libraries) and `runtime` (the other way round).
#
#   docker build --target operator -t modelmend-operator .
#   docker build --target runtime  -t modelmend-runtime .
#
# Dependencies are a layer of their own below the source, so a changed source rebuilds in seconds. Where the build has
# no network, /wheelhouse and uv are bound in and UV_OFFLINE, UV_FIND_LINKS are given (hack/localcluster/images.py).
ARG PYTHON=python:3.11-slim

# What all stages share. Nothing is ever written outside of /tmp, so the root file system may be read-only.
FROM ${PYTHON} AS base
ENV PATH=/opt/modelmend/package/bin:/opt/modelmend/bin:$PATH \
    HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
ENTRYPOINT ["modelmend"]
COPY hack/localcluster/with-uv.sh /usr/local/bin/with-uv
RUN python3 -m venv --without-pip /opt/modelmend \
 && echo /opt/modelmend/package > "$(/opt/modelmend/bin/python -c 'import site; print(site.getsitepackages()[0])')/modelmend.pth"

# The project itself, compiled, without its dependencies.
FROM base AS package
ARG UV_OFFLINE
ARG UV_FIND_LINKS
COPY hack/localcluster/wheel.txt /locks/
RUN with-uv venv --quiet /builder \
 && with-uv pip install --quiet --python /builder --require-hashes -r /locks/wheel.txt
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
RUN with-uv build --quiet --wheel --no-build-isolation --python /builder --out-dir /wheels \
 && with-uv pip install --quiet --python /opt/modelmend --target /package --no-deps /wheels/*.whl

FROM base AS operator
ARG UV_OFFLINE
ARG UV_FIND_LINKS
COPY locks/operator.txt /opt/modelmend/
RUN with-uv pip install --quiet --python /opt/modelmend --require-hashes -r /opt/modelmend/operator.txt
WORKDIR /tmp
# A number, so that Kubernetes can check runAsNonRoot.
USER 65532:65532
COPY --from=package /package /opt/modelmend/package

FROM base AS runtime
ARG UV_OFFLINE
ARG UV_FIND_LINKS
COPY locks/runtime.txt /opt/modelmend/
# The libraries' own tests and C++ headers are a third of their size and of no use to a model.
RUN with-uv pip install --quiet --python /opt/modelmend --require-hashes -r /opt/modelmend/runtime.txt \
 && cd /opt/modelmend/lib/python3*/site-packages \
 && find numpy pandas pyarrow scipy sklearn skops -type d -name tests -prune -exec rm -r {} + \
 && rm -rf pyarrow/include pyarrow/src
WORKDIR /tmp
USER 65532:65532
COPY --from=package /package /opt/modelmend/package
