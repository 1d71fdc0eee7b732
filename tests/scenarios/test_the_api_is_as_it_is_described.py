"""Somebody writes a client from /v1/openapi.json alone, and somebody else tries everything that it does not allow.

schemathesis makes requests from the description, right ones and wrong ones, and holds each answer of a
running door to it: status, headers, content type, schema.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from proxy.edge.api.description import DESCRIPTION
from tests.helpers.credentials import People
from tests.helpers.door import Door
from tests.helpers.exchange import token_of
from tests.helpers.tokens import Issuer

# A text that is no certificate request is well formed for the description, and refused with 422.
NOT_ALL_THAT_FITS_IS_TAKEN = [positive_data_acceptance]


@pytest.fixture(scope="module")
def farm(issuing: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A door that issues certificates, and bears many callers from one address."""
    directory = tmp_path_factory.mktemp("described")
    limits = {"calls_per_second": 10_000, "burst": 10_000}
    running = Door(directory, {**issuing, "store": {"file": str(directory / "store.db")}, "limits": limits})
    yield running
    running.stop()


@pytest.fixture(scope="module")
def base(farm: Door) -> str:
    return f"https://localhost:{farm.port}"


@schemathesis.serializer("application/pkcs10", "application/x-pem-file")
def as_it_is(_context: schemathesis.SerializationContext, value: object) -> bytes:
    """Return the octets of a body that is text."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


# What the door serves as /v1/openapi.json (tests/unit/edge/api); read here, so that each path is a test of its own.
schema = schemathesis.openapi.from_dict(DESCRIPTION)


@schema.parametrize()
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_a_known_caller_is_answered(
    case: schemathesis.Case, base: str, people: People, issuers: dict[str, Issuer]
) -> None:
    token = token_of("people", issuers["people"])

    case.call_and_validate(
        base_url=base,
        verify=str(people.ca),
        headers={"Authorization": f"Bearer {token}"},
        excluded_checks=NOT_ALL_THAT_FITS_IS_TAKEN,
    )


@schema.parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_a_stranger_is_answered(case: schemathesis.Case, base: str, people: People) -> None:
    case.call_and_validate(base_url=base, verify=str(people.ca), excluded_checks=NOT_ALL_THAT_FITS_IS_TAKEN)


def test_nothing_of_it_was_a_fault_of_ours(farm: Door) -> None:
    assert farm.metric("kilngate_api_requests_total", {"status": "500"}) == 0
    assert "own fault" not in farm.log
