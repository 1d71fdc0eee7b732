"""A build daemon as small as can be: a process that answers `Info` and `ListWorkers` on a unix socket.

    python small_daemon.py SOCKET ROOT [odd ways]

It notes each start in ROOT/starts with its process id. Odd ways: `fails` ends at once with a
sentence, `mute` never listens, `stubborn` ignores SIGTERM, `parent` starts a child in its session.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import h2.connection
import h2.events

# ListWorkersResponse with one worker; the same octets are an InfoResponse with version v0.31.1 in its first field.
ANSWER = b"\x0a\x0a\x0a\x01w\x12\x05x.y.z"
INFO = b"\x0a\x0c\x0a\x01p\x12\x07v0.31.1"


def main(path: str, root: str, *ways: str) -> None:
    """Be a daemon."""
    with Path(root, "starts").open("a") as starts:
        starts.write(f"{os.getpid()} {sorted(os.environ)}\n")
    if "fails" in ways:
        sys.exit("no such worker")
    if "stubborn" in ways:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "parent" in ways:
        child = subprocess.Popen(["sleep", "600"])
        Path(root, "child").write_text(str(child.pid))
    if "mute" in ways:
        time.sleep(600)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


def serve(sock: socket.socket) -> None:
    """Answer every call on one connection."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    connection.initiate_connection()
    with contextlib.suppress(ConnectionError):
        sock.sendall(connection.data_to_send())
        while octets := sock.recv(65_536):
            for event in connection.receive_data(octets):
                if isinstance(event, h2.events.RequestReceived):
                    answer(connection, event)
            sock.sendall(connection.data_to_send())


def answer(connection: h2.connection.H2Connection, event: h2.events.RequestReceived) -> None:
    """Answer one call, whatever its request says."""
    stream, method = event.stream_id, dict(event.headers)[b":path"]
    said = INFO if method.endswith(b"/Info") else ANSWER
    connection.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
    connection.send_data(stream, b"\0" + len(said).to_bytes(4) + said)
    connection.send_headers(stream, [("grpc-status", "0")], end_stream=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
