"""Every socket, TLS, file, clock and HTTP client: code that waits, kept small."""
