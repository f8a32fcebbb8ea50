"""What is a reference, and what it means."""

from __future__ import annotations

import pytest

from harness.errors import EngineError
from harness.images.references import parsed

_DIGEST = f"sha256:{'ab' * 32}"


@pytest.mark.parametrize(
    ("text", "whole", "loadable"),
    [
        ("nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ("docker.io/nginx:1", "docker.io/library/nginx:1", "nginx:1"),
        ("envoyproxy/envoy:v1.2", "docker.io/envoyproxy/envoy:v1.2", "envoyproxy/envoy:v1.2"),
        ("127.0.0.1:5000/a/b:c", "127.0.0.1:5000/a/b:c", "127.0.0.1:5000/a/b:c"),
        ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
        ("localhost/a", "localhost/a:latest", "localhost/a:latest"),
        (f"a.b/c:d@{_DIGEST}", f"a.b/c@{_DIGEST}", "a.b/c:sha256-abababababababab"),
    ],
)
def test_short_forms_are_completed_as_docker_does(text: str, whole: str, loadable: str) -> None:
    """One image has one name, however little of it somebody wrote."""
    assert (str(parsed(text)), parsed(text).loadable) == (whole, loadable)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-v",
        "--help",
        "--config=x/y",
        "a b",
        "A",
        "a:",
        "a@sha256:1",
        "a/",
        "/a",
        "a//b",
        "a\nb",
        "a:b:c",
        "x" * 999,
    ],
)
def test_reference_parser_refuses_other_text(text: str) -> None:
    """References become other programs' arguments, so no option and no line end gets through."""
    with pytest.raises(EngineError, match="is no reference of an image") as caught:
        parsed(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("registry", "here"),
    [("localhost:5000", True), ("127.9.9.9:1", True), ("[::1]:5000", True), ("127.0.0.1.example", False)],
)
def test_reference_needs_no_certificate_on_this_machine_only(registry: str, *, here: bool) -> None:
    """A name that merely begins like an address of this machine is somebody else's."""
    assert parsed(f"{registry}/a").is_here is here
