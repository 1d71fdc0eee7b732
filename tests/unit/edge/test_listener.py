"""The public port's own socket. What happens on its connections is tried in test_downstream and by the scenarios."""

import pytest

from proxy.edge.listener import listen


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_address_that_is_taken_is_named(host: str) -> None:
    try:
        first = listen(host, 0)
    except OSError as error:
        pytest.skip(f"not on this machine: {error}")
    port = first.getsockname()[1]
    named = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    with first, pytest.raises(OSError, match="Address already in use") as caught:
        listen(host, port)
    assert str(caught.value).startswith(f"cannot listen on {named} (listen.address): ")
