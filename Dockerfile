FROM python:3.11-slim
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY broker broker
COPY workers workers
COPY api api
COPY cli cli
RUN pip install --no-cache-dir -c constraints.txt . && useradd --system --create-home waybill \
    && install -d -o waybill /var/lib/waybill
# providers of your own, if there are any
COPY waybill.tom[l] ./
USER waybill
ENTRYPOINT ["waybill"]
CMD ["api", "--host", "0.0.0.0"]
