# To pin the image: --build-arg PYTHON_IMAGE=python@sha256:..., see docs/how-to/run-at-scale.md
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /app
COPY locks locks
RUN pip install --no-cache-dir --require-hashes -r locks/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY broker broker
COPY workers workers
COPY api api
COPY cli cli
COPY examples examples
RUN pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheel .

FROM ${PYTHON_IMAGE}
# optional parts: --build-arg EXTRAS=documents,ocr,s3,stripe,parquet
ARG EXTRAS=""
WORKDIR /app
COPY locks locks
# The dependencies come first, so that a change of the sources does not install them again.
RUN for name in base $(echo "$EXTRAS" | tr , ' '); do set -- "$@" -r "locks/$name.txt"; done \
    && pip install --no-cache-dir --require-hashes "$@"
COPY --from=build /wheel /wheel
RUN pip install --no-cache-dir --no-index --no-deps /wheel/*.whl && rm -r /wheel \
    && useradd --system --create-home waybill && install -d -o waybill /var/lib/waybill
USER waybill
ENTRYPOINT ["waybill"]
CMD ["api", "--host", "0.0.0.0"]
