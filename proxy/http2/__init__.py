"""HTTP/2 as octets: frames, header compression and what a relay must account for. Pure: no socket, no clock."""
