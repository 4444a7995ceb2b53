"""What a machine sent, read from the capture of its network outside of it (pcap, Ethernet).

Kinds, not contents: that is enough to see whether anything left that had not been asked for.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

_SYN, _ACK = 0x02, 0x10
_UDP = {(68, 67): "DHCP", (546, 547): "DHCPv6", (5353, 5353): "mDNS"}
_ND = {133: "router solicitation", 135: "neighbour solicitation", 136: "neighbour advertisement", 143: "MLD report"}


def sent(capture: Path, mac: str) -> Counter[str]:
    """How many packets of each kind this Ethernet address sent."""
    own = bytes.fromhex(mac.replace(":", ""))
    return Counter(_kind(frame) for frame in _frames(capture) if frame[6:12] == own)


def _frames(capture: Path) -> Iterator[bytes]:
    content = capture.read_bytes()
    order = "<" if content[:4] == b"\xd4\xc3\xb2\xa1" else ">"
    at = 24
    while at + 16 <= len(content):
        _, _, kept, _ = struct.unpack_from(f"{order}4I", content, at)
        yield content[at + 16 : at + 16 + kept]
        at += 16 + kept


def _kind(frame: bytes) -> str:
    (ether,) = struct.unpack_from(">H", frame, 12)
    if ether == 0x0806:
        return "ARP"
    if ether == 0x0800:
        header = 4 * (frame[14] & 15)
        return _transport(frame[23], frame[14 + header :])
    if ether == 0x86DD:
        protocol, rest = frame[20], frame[54:]
        if protocol == 0:
            # Hop-by-hop options, as multicast reports carry them.
            protocol, rest = rest[0], rest[8 * (rest[1] + 1) :]
        return _transport(protocol, rest)
    return f"Ethernet type {ether:#06x}"


def _transport(protocol: int, content: bytes) -> str:
    if protocol == 2:
        return "IGMP report"
    if protocol == 58:
        return _ND.get(content[0], f"ICMPv6 type {content[0]}")
    if protocol == 1:
        return f"ICMP type {content[0]}"
    source, target = struct.unpack_from(">HH", content)
    if protocol == 17:
        return _UDP.get((source, target), f"UDP from {source} to {target}")
    if protocol == 6:
        begins = content[13] & (_SYN | _ACK) == _SYN
        return f"TCP begun to port {target}" if begins else f"TCP answer of port {source}"
    return f"IP protocol {protocol}"
