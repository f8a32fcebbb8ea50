"""The text of a plan."""

from __future__ import annotations

from harness.plan.dry_run import Instances, Machine, Remark, Step
from harness.report.plan import plan_text
from harness.strategies.actions import Command, File, Served, Spawned, Told
from harness.types import Endpoint, Member, Route

_START: list[Step] = [
    Machine("netns", Endpoint("198.18.37.99", 80), "external", "198.18.128.1", 16),
    Instances((Member("a", "198.19.0.2", 8080, 9), Member("b", "198.19.0.3", 8080)), "own", None),
]


def test_each_kind_of_step_reads_like_what_it_is() -> None:
    """Commands as a shell would take them, files and input indented below their names."""
    steps: list[Step] = [
        *_START,
        Command(("nft", "-f", "-"), "table ip x {\n\tchain y\n}\n"),
        Command(("test", "-e", "/a b"), ""),
        File("/run/x.conf", "one\n\n  two"),
        Served("caddy", ("caddy", "run"), (("GOMAXPROCS", "2"), ("HOME", "a b"))),
        Spawned(("python", "-m", "relay")),
        Told({"do": "members"}),
        Remark("no more is known"),
    ]
    assert (
        plan_text(steps)
        == """\
host netns: clients know 198.18.37.99:80
clients: in a network namespace of their own, addresses: 16 from 198.18.128.1 on
instances: 2 of the sample, each in a network namespace of its own
    a  198.19.0.2:8080  weight 9
    b  198.19.0.3:8080  weight 1

run nft -f -, whose standard input is
    table ip x {
            chain y
    }

run test -e '/a b'

write /run/x.conf
    one

      two

serve GOMAXPROCS=2 HOME='a b' caddy run

start python -m relay

tell it {"do": "members"}

note: no more is known
"""
    )


def test_instances_that_expose_themselves_are_all_there_is() -> None:
    """A strategy that does nothing leaves no blank."""
    assert plan_text(_START).endswith("\nNothing else is set up: instances that listen are exposed.\n")


def test_plan_escapes_text_from_outside() -> None:
    """Neither escapes of a file nor of a command, nor what the terminal's encoding lacks."""
    command = Instances((Member("a", "198.19.0.2", 8080),), "own", ("ser\x1b[2Jver", "naïve"))
    text = plan_text([_START[0], command, File("/run/\x07x", "a\rb\x9b\n")], "ascii")
    assert text.isascii()
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "    a\\rb\\x9b\n" in text


def test_instances_of_routes_say_whose_requests_they_answer() -> None:
    """By path, or by host."""
    api, blog = Route("api", "/api"), Route("blog", host="blog.example")
    members = (Member("api-1", "198.19.0.2", 8080, 1, api), Member("blog-1", "198.19.0.3", 8080, 1, blog))
    text = plan_text([_START[0], Instances(members, "own", None)])
    assert "    api-1  198.19.0.2:8080  /api\n    blog-1  198.19.0.3:8080  blog.example\n" in text
