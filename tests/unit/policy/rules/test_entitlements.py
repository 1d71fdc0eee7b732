import pytest

from tests.helpers.solves import bridge, control, facts_with, judged, refusal

SPELLINGS = ["network.host", "security.insecure", "device", "device=vendor.com/gpu=all", "Network.Host", " device", "x"]


@pytest.mark.parametrize("entitlement", SPELLINGS)
def test_none_is_granted_unless_it_is_listed(entitlement: str) -> None:
    setting, said = refusal(control(entitlements=[entitlement]))

    assert setting == "entitlements.allow"
    assert said.startswith(f"[KG-411] the entitlement {entitlement} is not allowed")


def test_the_refusal_says_what_is_allowed_and_whom_to_ask() -> None:
    request = control(entitlements=["network.host", "security.insecure"])

    assert refusal(request, entitlements={"allow": ["network.host"]}, contact="#build-farm") == (
        "entitlements.allow",
        "[KG-411] the entitlement security.insecure is not allowed "
        "(policy strict, entitlements.allow; allowed: network.host). "
        "Build without --allow for it, or ask #build-farm (ref 7-1)",
    )


def test_what_is_listed_passes_with_whatever_follows_the_equals_sign() -> None:
    request = control(entitlements=["device=vendor.com/gpu=all,alias=gpu", "device"])

    judged(request, entitlements={"allow": ["device"]})

    assert request.entitlements == ["device=vendor.com/gpu=all,alias=gpu", "device"]


@pytest.mark.parametrize("request_of", [control, bridge])
@pytest.mark.parametrize("security", [1, 7])
def test_a_step_of_a_definition_without_a_sandbox_needs_one(request_of: type, security: int) -> None:
    facts = [facts_with(), facts_with(securities=[0, security])]

    assert refusal(request_of(), facts)[0] == "entitlements.allow"
    judged(request_of(), facts, entitlements={"allow": ["security.insecure"]})
    judged(request_of(), [facts_with(securities=[0])])


@pytest.mark.parametrize("request_of", [control, bridge])
def test_a_step_of_a_definition_with_a_device_needs_one(request_of: type) -> None:
    facts = [facts_with(devices=["vendor.com/gpu=all"])]

    assert refusal(request_of(), facts)[0] == "entitlements.allow"
    judged(request_of(), facts, entitlements={"allow": ["device"]})
