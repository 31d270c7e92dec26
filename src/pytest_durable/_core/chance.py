"""What looks random and is not: every number here is a hash of the seed and of who asks for it."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [high + low for high in _CROCKFORD for low in _CROCKFORD]


def below(bound: int, seed: int, *who: object) -> int:
    """A number in ``range(bound)`` that depends on the seed and on who asks, and on nothing else."""
    digest = blake2b(repr((seed, *who)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % bound


def ulid(milliseconds: int, seed: int, who: str) -> str:
    """An identifier of the ULID form: 48 bits of time, then 64 bits of the hash in the 16 digits of its second half.

    They come from who asks, not from a counter: an identifier stays the same when other things happen in another
    order, which is what lets one schedule be compared with the next. Hexadecimal digits are digits of a ULID too.
    """
    return _time_part(milliseconds) + blake2b(f"{seed} {who}".encode(), digest_size=8).hexdigest().upper()


@lru_cache(maxsize=1024)
def _time_part(milliseconds: int) -> str:
    return "".join([_PAIRS[(milliseconds >> shift) & 1023] for shift in (40, 30, 20, 10, 0)])
