# kilngate as a container: no shell needed, no root, nothing to write.
#
#   docker build -t kilngate .
#   docker run -p 8443:8443 -v ./kilngate:/etc/kilngate:ro -v buildkit:/run/buildkit kilngate

FROM python:3.13-slim-trixie AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# The locks first: a change of the code alone does not fetch the dependencies again.
COPY requirements.lock requirements-build.lock ./
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes -r requirements-build.lock \
    && python -m venv /opt/kilngate \
    && /opt/kilngate/bin/pip install --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY proxy ./proxy
RUN /opt/build/bin/hatchling build -t wheel -d /wheel \
    && /opt/kilngate/bin/pip install --no-index --no-deps /wheel/*.whl \
    && /opt/kilngate/bin/pip uninstall --yes pip

FROM python:3.13-slim-trixie
LABEL org.opencontainers.image.title="kilngate" \
      org.opencontainers.image.description="The front door of a shared BuildKit farm" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/kilngate /opt/kilngate
# A volume that is mounted here belongs to kilngate from its first use on.
RUN install -d -o 65532 -g 65532 -m 0750 /var/log/kilngate /var/lib/kilngate
ENV PATH=/opt/kilngate/bin:$PATH PYTHONUNBUFFERED=1
# A number, so that Kubernetes' runAsNonRoot can judge it. Give the daemon's socket this group: buildkitd --group 65532.
USER 65532:65532
EXPOSE 8443 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["kilngate", "healthcheck"]
ENTRYPOINT ["kilngate"]
CMD ["serve", "--config", "/etc/kilngate/kilngate.yaml"]
