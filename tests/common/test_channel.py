"""The channel between processes of one run."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.common.channel import Channel, ChannelClosedError

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(st.dictionaries(st.text(), _JSON, max_size=4), max_size=5))
def test_messages_arrive_whole_and_in_order(messages: list[dict[str, object]]) -> None:
    """What is sent at one end is what is received at the other."""
    ours, theirs = Channel.pair()
    with ours, Channel(theirs) as other:
        for message in messages:
            ours.send(message)
        assert [other.receive(1) for _ in messages] == messages


def test_a_message_larger_than_the_sockets_buffer_arrives() -> None:
    """A thousand rules are longer than what a socket takes at once."""
    ours, theirs = Channel.pair()
    text = "x" * 3_000_000
    pid = os.fork()
    if pid == 0:
        Channel(theirs).send({"text": text})
        os._exit(0)
    with ours, theirs:
        assert ours.receive(10) == {"text": text}
    os.waitpid(pid, 0)


def test_a_descriptor_rides_along_with_its_message() -> None:
    """The receiver can use the file that the sender opened."""
    ours, theirs = Channel.pair()
    reading, writing = os.pipe()
    with ours, Channel(theirs) as other:
        ours.send({"do": "write"}, (writing,))
        os.close(writing)
        other.receive(1)
        received = other.take_fd()
        os.write(received, b"through")
        os.close(received)
    assert os.read(reading, 10) == b"through"
    os.close(reading)


def test_a_closed_end_is_told_to_the_other() -> None:
    """Both receiving from and sending to a process that has gone raise the same error."""
    ours, theirs = Channel.pair()
    theirs.close()
    with ours:
        with pytest.raises(ChannelClosedError):
            ours.receive(1)
        with pytest.raises(ChannelClosedError):
            ours.send({"x": 1})


def test_waiting_ends_at_its_deadline() -> None:
    """A silent process at the other end can't hold its partner for ever."""
    ours, theirs = socket.socketpair()
    with Channel(ours) as channel, theirs, pytest.raises(TimeoutError):
        channel.receive(0.01)
