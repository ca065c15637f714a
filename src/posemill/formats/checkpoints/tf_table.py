"""The sorted table that TensorFlow keeps a checkpoint's index in (LevelDB's format), and its protocol buffers.

File: data blocks, a block that says where they are, a footer of 48 bytes that says where that is. A block holds
entries in order of key, each with the length that it shares with the key before it, then restart points; behind it
stand a byte for the compression and a masked CRC-32C.
"""

from __future__ import annotations

from collections.abc import Iterator

from posemill.formats.checkpoints.crc32c import crc32c, unmasked

__all__ = ["FOOTER", "fields", "table", "varint"]

FOOTER = 48
_TRAILER = 5
_KEY = 4096


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Read an unsigned number of up to 64 bits; return it and the place behind it.

    Raises
    ------
    ValueError
        It does not end.
    """
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        value |= (data[at] & 0x7F) << shift
        if data[at] < 0x80:
            return value, at + 1
        at += 1
    raise ValueError("a number without end")


def table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Walk over keys and values of a whole table.

    Raises
    ------
    ValueError
        Damaged: which part.
    """
    if len(data) < FOOTER:
        raise ValueError(f"{len(data)} bytes")
    footer = data[-FOOTER:]
    at = 0
    for _ in range(2):  # where the (empty) block of metadata is
        _, at = varint(footer, at)
    start, at = varint(footer, at)
    size, _ = varint(footer, at)
    behind, last = 0, b""
    for _, handle in _block(data, start, size):
        start, at = varint(handle, 0)
        size, _ = varint(handle, at)
        # Blocks follow each other: none is read twice, so that the table is no longer than the file.
        if start < behind:
            raise ValueError("blocks that overlap")
        behind = start + size
        for key, value in _block(data, start, size):
            if last and key <= last:
                raise ValueError("keys out of order")
            last = key
            yield key, value


def _block(data: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    end = start + size
    if end + _TRAILER > len(data) or size < 4:
        raise ValueError(f"a block of {size} bytes at {start}")
    if data[end] != 0:
        raise ValueError("a compressed block")
    stored = int.from_bytes(data[end + 1 : end + _TRAILER], "little")
    if crc32c(data[start : end + 1]) != unmasked(stored):
        raise ValueError(f"another checksum of the block at {start}")
    restarts = int.from_bytes(data[end - 4 : end], "little")
    entries = data[start : max(start, end - 4 * (restarts + 1))]
    at, key = 0, b""
    while at < len(entries):
        shared, at = varint(entries, at)
        own, at = varint(entries, at)
        length, at = varint(entries, at)
        # Keys share their beginnings: without a limit, a small block would unfold into very long ones.
        if shared > len(key) or shared + own > _KEY or at + own + length > len(entries):
            raise ValueError(f"an entry beyond its block at {start}")
        key = key[:shared] + entries[at : at + own]
        at += own
        yield key, entries[at : at + length]
        at += length


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Walk over a protocol buffer: field number and its number or bytes.

    Raises
    ------
    ValueError
        Damaged.
    """
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(message, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            size, at = varint(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of kind {kind}")
        if at + size > len(message):
            raise ValueError("a field beyond its message")
        part = message[at : at + size]
        yield tag >> 3, part if kind == 2 else int.from_bytes(part, "little")
        at += size
