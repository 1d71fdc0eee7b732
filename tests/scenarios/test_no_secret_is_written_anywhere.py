"""An operator sends the logs of a bad day to somebody else, without reading them first.

Builds with a secret, a build argument, a token and telling file names went through the door, one
of them failed, and the log level was `debug`. None of those words is in the log, in the audit
log, or among the metrics.
"""

import secrets
from pathlib import Path
from typing import Any

from proxy.lab.context import write_context
from tests.conftest import NewBuilder, StartDoor
from tests.helpers.builders import Builder
from tests.helpers.credentials import People
from tests.helpers.exchange import exchange, token_of
from tests.helpers.tokens import Issuer, token_door

STEPS = """\
ARG WORD
COPY {file} /{file}
RUN --network=none --mount=type=secret,id=word /bin/busybox cat /run/secrets/word; /bin/busybox echo $WORD; exit {code}
"""


def test_secrets_arguments_tokens_and_contents_stay_out_of_every_log(
    start_door: StartDoor, new_builder: NewBuilder, people: People, issuer: Issuer, busybox: Path, tmp_path: Path
) -> None:
    door = start_door()
    secret, argument, file, content, token_id = (f"canary{secrets.token_hex()}" for _ in range(5))
    (tmp_path / "secret").write_text(secret)
    token, bad_token = issuer.token(jti=token_id), issuer.token("ci:nobody", jti=token_id)
    options = (f"--secret=id=word,src={tmp_path}/secret", f"--build-arg=WORD={argument}")
    builders = [new_builder(door)]
    said = []

    for number, shown in enumerate((token, bad_token)):
        directory = tmp_path / str(number)
        directory.mkdir()
        with token_door(directory, door.address, people.ca, shown) as endpoint:
            builders[0].buildx.create_builder("canary", endpoint)
            for code, builder in enumerate((builders[0], Builder(builders[0].buildx, "canary"))):
                steps = STEPS.format(file=file, code=code)
                context = write_context(directory / str(code), busybox, steps, {file: content.encode()})
                said.append(builder.build(context, *options))

    told = "".join((door.log, door.audit, door.ask("/metrics"), door.ask("/readyz?verbose")))
    assert [done.returncode for done in said] == [0, 1, 0, 1]
    assert argument in said[0].stdout
    assert "payments" in told
    canaries = {secret, argument, file, content, token_id, *token.split("."), *bad_token.split(".")}
    assert {word for word in canaries if word in told} == set()


def test_a_token_that_is_exchanged_and_what_came_with_it_stay_out_of_every_log_and_of_the_store(
    start_door: StartDoor, issuing: dict[str, Any], people: People, issuers: dict[str, Issuer], tmp_path: Path
) -> None:
    store = tmp_path / "store.db"
    door = start_door(**issuing, store={"file": str(store)})
    good, bad = token_of("github", issuers["github"]), token_of("github", issuers["github"], repository_id="1")

    said = [exchange(tmp_path / str(n), door.address, people.ca, token) for n, token in enumerate((good, good, bad))]
    told = "".join((door.log, door.audit, door.ask("/metrics"), *(each.text for each in said[1:])))
    door.stop()

    kept = store.read_bytes()
    assert [each.status for each in said] == [200, 401, 403]
    request = (tmp_path / "0" / "request.pem").read_text()
    canaries = {*good.split("."), *bad.split("."), *request.splitlines()[1:-1], "PRIVATE KEY"}
    assert {word for word in canaries if word in told or word.encode() in kept} == set()
