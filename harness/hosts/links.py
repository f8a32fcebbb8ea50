"""The network of the `netns` host: its addresses, and the netlink messages that make it.

    client namespace            host namespace                   an instance's namespace
    eth0 198.18.100.1   ──veth── ext0 198.18.37.99
         198.18.128.0/18         br000 198.19.0.1/22 ──veth── eth0 198.19.0.2 …

All addresses are of the address plan (`harness.hosts.address_plan`). A Linux bridge has 1,023 ports, so
every thousand instances get a bridge and a /22 of their own. Neighbours are permanent everywhere and bridge
entries static: nothing is asked or flooded in the measured part, and the kernel's global limit of
neighbours, which breaks large set-ups, does not count permanent ones.

Messages are encoded by pyroute2. Encoding takes it some 0.5 ms each, so those that differ between
instances in a few bytes only are encoded once and copied with the bytes replaced.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING, Any

from pyroute2 import IPBatch

from harness.hosts.address_plan import INSTANCES_PER_BRIDGE, IPV4

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_HOST_MAC, _CLIENT_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
_LOOPBACK, _INNER, _EXTERNAL, _FIRST_BRIDGE, _FIRST_PORT = 1, 2, 10, 100, 1_000
_RTN_LOCAL, _RT_TABLE_LOCAL, _RT_SCOPE_HOST = 2, 255, 254  # linux/rtnetlink.h
_AF_BRIDGE, _NTF_MASTER, _NUD_NOARP = 7, 4, 0x40  # linux/neighbour.h

# What stands in an encoded message where an instance's own bytes will be; each is unlike anything else in it.
_NAME, _PID, _INDEX = "i@@@@@", 0x7EABCDE1, 0x7EABCDE2
_PORT_MAC, _INNER_MAC, _ADDRESS = "02:fe:fe:fe:fe:01", "02:fe:fe:fe:fe:02", "198.19.255.254"

_NLMSG_ERROR = 2
_ROUND = 64  # messages in flight: their acknowledgements must fit the socket's buffer


class RouteSocket:
    """A netlink route socket of the network namespace in which it was opened."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._sock.bind((0, 0))

    def send(self, messages: Sequence[bytes]) -> None:
        """Carry out these requests in order.

        Raises
        ------
        OSError
            The kernel refused one.
        """
        for start in range(0, len(messages), _ROUND):
            some = messages[start : start + _ROUND]
            self._sock.send(b"".join(some))
            self._acknowledged(len(some))

    def _acknowledged(self, left: int) -> None:
        while left:
            data = self._sock.recv(1 << 17)
            offset = 0
            while offset < len(data):
                length, kind = struct.unpack_from("<IH", data, offset)
                if kind == _NLMSG_ERROR:
                    left -= 1
                    (number,) = struct.unpack_from("<i", data, offset + 16)
                    if number:
                        raise OSError(-number, os.strerror(-number))
                offset += (length + 3) & ~3

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


def _encode(*requests: Callable[[Any], object]) -> list[bytes]:
    batch = IPBatch()
    messages = []
    for request in requests:
        batch.reset()
        request(batch)
        messages.append(bytes(batch.batch))
    batch.close()
    return messages


def _up(index: int) -> Callable[[Any], object]:
    return lambda batch: batch.link("set", index=index, state="up")


def _address(index: int, address: str, bits: int) -> Callable[[Any], object]:
    return lambda batch: batch.addr("add", index=index, address=address, prefixlen=bits)


def _own(network: str) -> Callable[[Any], object]:
    """Make all addresses of a network this namespace's own, by one route."""
    return lambda batch: batch.route(
        "add", dst=network, oif=_LOOPBACK, type=_RTN_LOCAL, table=_RT_TABLE_LOCAL, scope=_RT_SCOPE_HOST
    )


def _neighbour(index: int, address: str, mac: str) -> Callable[[Any], object]:
    # That of an instance that has ended is still there when it comes again.
    return lambda batch: batch.neigh("replace", ifindex=index, dst=address, lladdr=mac, state="permanent")


def host_messages(client_namespace: int) -> list[bytes]:
    """Make the host's side: loopback, and the link to the client namespace (a descriptor)."""
    return _encode(
        _up(_LOOPBACK),
        _own(IPV4.local_sources),
        lambda batch: batch.link(
            "add",
            ifname="ext0",
            kind="veth",
            index=_EXTERNAL,
            address=_HOST_MAC,
            state="up",
            peer={"ifname": "eth0", "index": _INNER, "address": _CLIENT_MAC, "net_ns_fd": client_namespace},
        ),
        _address(_EXTERNAL, IPV4.endpoint, IPV4.outer_bits),
        _neighbour(_EXTERNAL, IPV4.client, _CLIENT_MAC),
        lambda batch: batch.route("add", dst=IPV4.external_sources, gateway=IPV4.client),
    )


def client_messages() -> list[bytes]:
    """Make the client's side, once its link is there."""
    return _encode(
        _up(_LOOPBACK),
        _up(_INNER),
        _address(_INNER, IPV4.client, IPV4.outer_bits),
        _own(IPV4.external_sources),
        _neighbour(_INNER, IPV4.endpoint, _HOST_MAC),
    )


def bridge_messages(first: int, count: int) -> list[bytes]:
    """Make the bridges that instances `first` … `first + count - 1` need and others have not made."""
    made = -(-first // INSTANCES_PER_BRIDGE)
    wanted = -(-(first + count) // INSTANCES_PER_BRIDGE)
    return [message for bridge in range(made, wanted) for message in _one_bridge(bridge)]


def _one_bridge(bridge: int) -> list[bytes]:
    return _encode(
        lambda batch: batch.link(
            "add",
            ifname=f"br{bridge:03d}",
            kind="bridge",
            index=_FIRST_BRIDGE + bridge,
            address=_bridge_mac(bridge),
            state="up",
            br_mcast_snooping=0,
            br_stp_state=0,
        ),
        _address(_FIRST_BRIDGE + bridge, IPV4.gateway(bridge), IPV4.bridge_bits),
    )


def _bridge_mac(bridge: int) -> str:
    return _mac(0x0B, bridge)


def _mac(kind: int, number: int) -> str:
    return ":".join(f"{byte:02x}" for byte in bytes([2, kind]) + number.to_bytes(4, "big"))


def port_name(position: int) -> str:
    """Name the host's side of an instance's link; as long as the placeholder in templates."""
    return f"i{position:05d}"


def port_messages(first: int, pids: Sequence[int]) -> Iterator[bytes]:
    """Make the host's side of each instance: the veth pair, its neighbour and its bridge entry.

    Parameters
    ----------
    first
        The position of the first instance.
    pids
        One process of each instance's network namespace.
    """
    bridges: dict[int, list[bytes]] = {}
    for position, pid in enumerate(pids, first):
        bridge = position // INSTANCES_PER_BRIDGE
        own = {
            _NAME.encode(): port_name(position).encode(),
            struct.pack("<I", _PID): struct.pack("<I", pid),
            struct.pack("<I", _INDEX): struct.pack("<I", _FIRST_PORT + position),
            _mac_bytes(_PORT_MAC): _mac_bytes(_mac(0x0C, position)),
            _mac_bytes(_INNER_MAC): _mac_bytes(_mac(0x0D, position)),
            socket.inet_aton(_ADDRESS): socket.inet_aton(IPV4.instance(position)),
        }
        if bridge not in bridges:
            bridges[bridge] = _port_templates(_FIRST_BRIDGE + bridge)
        for template in bridges[bridge]:
            yield _filled(template, own)


def _port_templates(bridge_index: int) -> list[bytes]:
    return _encode(
        lambda batch: batch.link(
            "add",
            ifname=_NAME,
            kind="veth",
            index=_INDEX,
            master=bridge_index,
            address=_PORT_MAC,
            state="up",
            peer={"ifname": "eth0", "index": _INNER, "address": _INNER_MAC, "net_ns_pid": _PID},
        ),
        _neighbour(bridge_index, _ADDRESS, _INNER_MAC),
        lambda batch: batch.neigh(
            "add", family=_AF_BRIDGE, ifindex=_INDEX, lladdr=_INNER_MAC, flags=_NTF_MASTER, state=_NUD_NOARP
        ),
    )


def instance_messages(first: int, count: int) -> Iterator[list[bytes]]:
    """Make each instance's own side, once its link is there."""
    bridges: dict[int, list[bytes]] = {}
    for position in range(first, first + count):
        bridge = position // INSTANCES_PER_BRIDGE
        if bridge not in bridges:
            bridges[bridge] = _instance_templates(IPV4.gateway(bridge), _bridge_mac(bridge))
        own = {socket.inet_aton(_ADDRESS): socket.inet_aton(IPV4.instance(position))}
        yield [_filled(template, own) for template in bridges[bridge]]


def _instance_templates(gateway: str, mac: str) -> list[bytes]:
    return _encode(
        _up(_LOOPBACK),
        _up(_INNER),
        _address(_INNER, _ADDRESS, IPV4.bridge_bits),
        lambda batch: batch.route("add", dst="default", gateway=gateway),
        _neighbour(_INNER, gateway, mac),
    )


def _mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def _filled(template: bytes, own: dict[bytes, bytes]) -> bytes:
    for placeholder, value in own.items():
        template = template.replace(placeholder, value)
    return template
