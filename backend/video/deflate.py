"""Zlib stream (RFC 1950, 1951) with Huffman codes only, without the search for repeats (LZ77).

Filtered rows of camera pictures hardly repeat: the search costs most of the time of a PNG and saves a fifth of its
bytes. Two bytes are coded at a time, through one table. Every PNG reader reads the result.
"""

import numpy as np
from imagecodecs import deflate_adler32

from backend.project.kernels import kernel

LONGEST = 12  # bits of a code: two fit into 24, and the number of bits into the other 8 of a table entry
END = 256  # the symbol that ends a block
SAMPLE, STRIDE = 4096, 8 * 4096  # count the first 4096 of every 32768 bytes: an eighth shows the distribution
ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)  # RFC 1951, 3.2.7
LENGTH_CODES = np.array([3, 3, 3, *[4] * 10, *[0] * 6])  # bits to write a code length: 0 to 2 in 3 bits, 3 to 12 in 4


def huffman_only(data: np.ndarray) -> list[bytes]:
    """Return the pieces of a zlib stream for ``data`` (N,) uint8, C-contiguous. The same data give the same bytes."""
    lengths = _code_lengths(_count(data), LONGEST)
    codes = _codes(lengths)
    bits = _header(lengths)
    words = np.empty(len(data) * LONGEST // 32 + 64, np.uint32)
    position, bits = _flush(bits, words)
    pairs = data[: len(data) // 2 * 2].view("<u2")
    value, count, position = _pack(
        pairs, _pair_table(codes, lengths), words, np.uint64(bits.value), bits.count, position
    )
    bits = _Bits(int(value), int(count))
    if len(data) % 2:
        bits.put(codes[data[-1]], lengths[data[-1]])
    bits.put(codes[END], lengths[END])
    bits.put(0b011, 3)  # a last block, with the standard's own codes
    bits.put(0, 7)  # ... that ends at once
    tail = bits.value.to_bytes((bits.count + 7) // 8, "little")
    return [b"\x78\x01", words[:position].tobytes(), tail, deflate_adler32(data).to_bytes(4, "big")]


class _Bits:
    """Bits to be written, the first one lowest."""

    def __init__(self, value: int = 0, count: int = 0):
        self.value, self.count = value, count

    def put(self, value: int, count: int) -> None:
        self.value |= int(value) << self.count
        self.count += int(count)


def _header(lengths: np.ndarray) -> _Bits:
    """Return the start of a block with codes of its own: their lengths, each written out."""
    bits = _Bits()
    for value, count in ((0, 1), (2, 2), (0, 5), (0, 5), (15, 4)):  # not last, own codes, 257 and 1 and 19 lengths
        bits.put(value, count)
    for symbol in ORDER:
        bits.put(LENGTH_CODES[symbol], 3)
    how = _codes(LENGTH_CODES)
    for length in [*lengths.tolist(), 0]:  # 0: there are no distances
        bits.put(how[length], LENGTH_CODES[length])
    return bits


def _flush(bits: _Bits, words: np.ndarray) -> tuple[int, _Bits]:
    """Write the whole words of ``bits``; return how many, and what is left."""
    position = bits.count // 32
    words[:position] = np.frombuffer((bits.value & ((1 << 32 * position) - 1)).to_bytes(4 * position, "little"), "<u4")
    return position, _Bits(bits.value >> 32 * position, bits.count % 32)


def _pair_table(codes: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return (65536,) uint32 for pairs of bytes, the first one low: both codes, and from bit 24 on how many bits."""
    code, length = codes[:256].astype(np.uint32), lengths[:256].astype(np.uint32)
    both = code[None, :] | (code[:, None] << length[None, :])
    return (both | ((length[None, :] + length[:, None]) << np.uint32(24))).reshape(-1)


@kernel(nogil=True)
def _count(data):  # pragma: no cover
    """Return (257,) int64: how often each symbol may occur, none of them never."""
    counts = np.ones(END + 1, np.int64)
    for begin in range(0, len(data), STRIDE):
        for position in range(begin, min(begin + SAMPLE, len(data))):
            counts[data[position]] += 1
    return counts


@kernel(nogil=True)
def _code_lengths(counts, longest):  # pragma: no cover
    """Return the lengths of Huffman codes, flattening ``counts`` until none is longer than ``longest``."""
    n = len(counts)
    while True:
        order = np.argsort(counts, kind="mergesort")
        weight = np.empty(2 * n - 1, np.int64)
        weight[:n] = counts[order]
        parent = np.zeros(2 * n - 1, np.int64)
        leaf, inner = 0, n
        for node in range(n, 2 * n - 1):  # join the two lightest; joined ones come in ascending order by themselves
            total = 0
            for _ in range(2):
                if leaf < n and (inner >= node or weight[leaf] <= weight[inner]):
                    lightest, leaf = leaf, leaf + 1
                else:
                    lightest, inner = inner, inner + 1
                total += weight[lightest]
                parent[lightest] = node
            weight[node] = total
        depth = np.zeros(2 * n - 1, np.int64)
        for node in range(2 * n - 3, -1, -1):
            depth[node] = depth[parent[node]] + 1
        if depth[:n].max() <= longest:
            lengths = np.empty(n, np.int64)
            lengths[order] = depth[:n]
            return lengths
        counts = counts // 2 + 1


@kernel(nogil=True)
def _codes(lengths):  # pragma: no cover
    """Return the canonical codes for ``lengths``, first bit lowest (RFC 1951, 3.2.2)."""
    codes = np.zeros(len(lengths), np.int64)
    code = 0
    for length in range(1, lengths.max() + 1):
        code <<= 1
        for symbol in range(len(lengths)):
            if lengths[symbol] == length:
                for bit in range(length):
                    codes[symbol] |= ((code >> bit) & 1) << (length - 1 - bit)
                code += 1
    return codes


@kernel(nogil=True)
def _pack(pairs, table, words, value, count, position):  # pragma: no cover
    """Append the codes of ``pairs`` to ``words``; ``value`` holds the ``count`` bits that fill no word yet."""
    held = np.uint64(count)
    for pair in pairs:
        entry = table[pair]
        value |= np.uint64(entry & np.uint32(0xFFFFFF)) << held
        held += np.uint64(entry >> np.uint32(24))
        words[position] = np.uint32(value & np.uint64(0xFFFFFFFF))  # overwritten until it is full
        full = held >> np.uint64(5)
        position += np.int64(full)
        value >>= full << np.uint64(5)
        held &= np.uint64(31)
    return value, held, position
