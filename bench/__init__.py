"""What the door costs, measured against other doors. Run by `make bench`; nothing here is imported by kilngate.

    __main__.py      the command line: the whole bench, two revisions of kilngate, or a profile of one row
    ground.py        packages, compiled programs, certificates, free ports: what must be there before a door opens
    child.py         a process that we started: its CPU time, its memory, its end
    doors.py         a door: an address to dial and the processes behind it; the direct ways are doors too
    peers.py         nginx, HAProxy, Envoy, nghttpx: their settings, at their best for this load
    kilngate.py      kilngate itself, of this tree or of another revision, with everything on
    rows.py          what is measured: each row a load, and the figures drawn from one run of it
    rounds.py        the rows in paired rounds; medians and ratios
    memory.py        at rest, per idle connection, under a reader that does not read
    buildx.py        stock `docker buildx` against a real BuildKit
    report.py        the table, printed and written to docs/benchmarks.md

    wire.h client.c sink.c   the load and what it is sent to (libnghttp2, OpenSSL)
    bridge.c                 a plain HTTP/2 socket before a Docker daemon's BuildKit, for doors that cannot upgrade

Figures are compared, never asserted: a slow machine is not a broken build.
"""
