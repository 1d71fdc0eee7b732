from proxy.settings.changes import changed, needing_restart
from proxy.settings.parse import parse
from proxy.settings.schema import Settings


def settings(rest: str) -> Settings:
    return parse(f"tls: {{certificate_file: a, key_file: b}}\n{rest}".encode(), file="k.yaml")


BEFORE = settings("listen: {address: 127.0.0.1:1}\ntenants: {a: , b: }\nlimits: {burst: 5}\n")


def test_nothing_changed() -> None:
    assert changed(BEFORE, BEFORE) == ()


def test_each_value_that_differs_is_named() -> None:
    after = settings(
        "listen: {address: 127.0.0.1:2}\ntenants: {a: {limits: {burst: 2}}, c.d: }\nlimits: {burst: 5}\n".replace(
            "c.d", "c"
        )
    )

    assert changed(BEFORE, after) == ("listen.address", "tenants.a.limits.burst", "tenants.b", "tenants.c")


def test_a_port_cannot_move_without_a_restart() -> None:
    assert needing_restart(("listen.address", "limits.burst", "admin.address")) == ("listen.address", "admin.address")
