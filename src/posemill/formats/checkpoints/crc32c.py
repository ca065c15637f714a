"""CRC-32C (Castagnoli) of large buffers with numpy: many stretches at once, then joined.

The register after a stretch is linear in the register before it and in the bytes, so that equal stretches can be
summed side by side and joined by the matrix that advances a register over a stretch of zeros.
"""

from __future__ import annotations

import numpy as np

__all__ = ["crc32c", "unmasked"]

_POLYNOMIAL = 0x82F63B78
_STRETCH = 2048


def _byte_table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> 1) ^ np.where(table & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
    return table


def _word_tables() -> tuple[np.ndarray, np.ndarray]:
    """Advance a register over four bytes: one table for its lower, one for its upper half."""
    byte = _byte_table()
    value = np.arange(1 << 16, dtype=np.uint32)
    low, high = value, value << 16
    for _ in range(4):
        low = (low >> 8) ^ byte[low & 0xFF]
        high = (high >> 8) ^ byte[high & 0xFF]
    return low, high


_BYTE = _byte_table()
_LOW, _HIGH = _word_tables()


def crc32c(data: bytes | memoryview) -> int:
    """CRC-32C of a buffer.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    view = np.frombuffer(data, np.uint8)
    register = 0xFFFFFFFF
    whole = len(view) // _STRETCH
    # As many stretches at a time as a power of two, so that joining halves them evenly.
    done = 0
    while whole:
        lanes = 1 << min(whole.bit_length() - 1, 14)
        part = view[done : done + lanes * _STRETCH].reshape(lanes, _STRETCH)
        register = _join(_stretches(part), register)
        done += lanes * _STRETCH
        whole -= lanes
    for byte in view[done:].tolist():
        register = (register >> 8) ^ int(_BYTE[(register ^ byte) & 0xFF])
    return register ^ 0xFFFFFFFF


def unmasked(stored: int) -> int:
    """Undo LevelDB's mask, which keeps checksums of checksums from being special."""
    rotated = (stored - 0xA282EAD8) & 0xFFFFFFFF
    return ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF


def _stretches(part: np.ndarray) -> np.ndarray:
    """Register after each stretch, begun at 0, (lanes,)."""
    words = np.ascontiguousarray(part.view("<u4").T)
    register = np.zeros(part.shape[0], np.uint32)
    for word in words:
        register ^= word
        register = _LOW[register & 0xFFFF] ^ _HIGH[register >> 16]
    return register


def _join(registers: np.ndarray, start: int) -> int:
    """Register after all stretches in order, begun at ``start``."""
    operator = _STRETCH_OPERATOR
    registers = registers.copy()
    # The first stretch carries what came before.
    registers[0] ^= int(_apply(operator, np.array([start], np.uint32))[0])
    while len(registers) > 1:
        registers = _apply(operator, registers[::2]) ^ registers[1::2]
        operator = _apply(operator, operator)
    return int(registers[0])


def _apply(operator: np.ndarray, registers: np.ndarray) -> np.ndarray:
    """Product over GF(2): ``operator`` (32,) holds what each bit of a register becomes."""
    out = np.zeros_like(registers)
    for bit in range(32):
        out ^= np.where((registers >> np.uint32(bit)) & 1, operator[bit], np.uint32(0))
    return out


def _zeros_operator(length: int) -> np.ndarray:
    """What each bit of a register becomes after ``length`` (a power of two) zero bytes."""
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    operator = (bits >> np.uint32(8)) ^ _BYTE[bits & 0xFF]
    for _ in range(length.bit_length() - 1):
        operator = _apply(operator, operator)
    return operator


_STRETCH_OPERATOR = _zeros_operator(_STRETCH)
