FROM python:3.11-slim
# optional parts: --build-arg EXTRAS=s3,stripe,parquet
ARG EXTRAS=""
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
# What Waybill depends on, with empty packages in its place: a change of the sources does not
# install everything again.
RUN mkdir broker workers api cli examples \
    && touch broker/__init__.py workers/__init__.py api/__init__.py cli/__init__.py \
    && pip install --no-cache-dir -c constraints.txt ".${EXTRAS:+[$EXTRAS]}" \
    && pip uninstall --yes waybill-broker
COPY broker broker
COPY workers workers
COPY api api
COPY cli cli
COPY examples examples
RUN pip install --no-cache-dir --no-deps . && useradd --system --create-home waybill \
    && install -d -o waybill /var/lib/waybill
# providers of your own, if there are any
COPY waybill.tom[l] ./
USER waybill
ENTRYPOINT ["waybill"]
CMD ["api", "--host", "0.0.0.0"]
