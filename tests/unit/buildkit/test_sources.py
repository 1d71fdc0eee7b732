import pytest

from proxy.buildkit.sources import fetched


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://github.com/acme/app.git", "github.com/acme/app.git"),
        ("github.com/acme/app", "github.com/acme/app"),
        ("https://user:secret@evil.example.com/acme/app", "evil.example.com/acme/app"),
        ("https://github.com@evil.example.com/acme/app", "evil.example.com/acme/app"),
        ("ssh://git@evil.example.com:2222/acme/app#main", "evil.example.com:2222/acme/app#main"),
        ("git@evil.example.com:acme/app", "evil.example.com/acme/app"),
        ("git://evil.example.com/app", "evil.example.com/app"),
        ("https://evil.example.com\\@github.com/acme/app", "https://evil.example.com\\@github.com/acme/app"),
        ("file:///etc", "file:///etc"),
        ("ext::sh -c x", "ext::sh -c x"),
    ],
)
def test_a_repository_is_what_its_full_url_says(url: str, place: str) -> None:
    assert list(fetched("git://github.com/acme/app", {"git.fullurl": url})) == [
        "git://github.com/acme/app",
        f"git://{place}",
    ]


def test_a_bundle_is_a_source_of_its_own() -> None:
    bundle = "docker-image+blob://evil.example.com/x@sha256:abc"

    assert list(fetched("git://github.com/acme/app", {"git.bundle": bundle})) == ["git://github.com/acme/app", bundle]


@pytest.mark.parametrize("attrs", [{}, {"git.fullurl": "", "git.bundle": ""}, {"http.filename": "x"}])
def test_any_other_source_is_its_identifier(attrs: dict[str, str]) -> None:
    assert list(fetched("https://example.com/x", attrs)) == ["https://example.com/x"]
