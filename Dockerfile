# The server on a CPU, with ONNX Runtime and without PyTorch, on a filesystem that cannot be written to.
#
#   selcn export runs/demo/bundle
#   docker build --tag selcn .
#   docker run --rm --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
#     --publish 127.0.0.1:8000:8000 --volume "$PWD/runs/demo/bundle:/bundle:ro" selcn
FROM python:3.12-slim AS install
WORKDIR /src
RUN python -m pip install uv
RUN python -m uv venv /opt/selcn
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY src src
COPY bundles bundles
RUN python -m uv pip install --python /opt/selcn/bin/python --compile-bytecode --constraint constraints.txt '.[serve,dicom]'

FROM python:3.12-slim
COPY --from=install /opt/selcn /opt/selcn
USER 65534:65534
EXPOSE 8000
ENV HOME=/tmp
HEALTHCHECK CMD ["/opt/selcn/bin/python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz')"]
ENTRYPOINT ["/opt/selcn/bin/selcn", "serve", "/bundle", "--engine", "onnx", "--host", "0.0.0.0", "--port", "8000"]
