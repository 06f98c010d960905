"""Slow edwards25519 arithmetic (RFC 8032 section 5.1), to make signatures no library makes."""

from hashlib import sha512

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT = pow(2, (P - 1) // 4, P)
ZERO = (0, 1)


def recover_x(y, sign):
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P:
        return None
    return (P - x) % P if x & 1 != sign else x


def add(a, b):
    (ax, ay), (bx, by) = a, b
    k = D * ax * bx * ay * by % P
    return (
        (ax * by + bx * ay) * pow(1 + k, -1, P) % P,
        (ay * by + ax * bx) * pow(1 - k, -1, P) % P,
    )


def multiply(n, point):
    result = ZERO
    while n:
        if n & 1:
            result = add(result, point)
        point, n = add(point, point), n >> 1
    return result


BASE = (recover_x(4 * pow(5, -1, P) % P, 0), 4 * pow(5, -1, P) % P)


def encode(point):
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def torsion():
    """The eight points whose order divides 8."""
    y = 2
    while True:
        x = recover_x(y, 0)
        if x is not None:
            point = multiply(L, (x, y))
            if multiply(4, point) != ZERO:
                return [multiply(i, point) for i in range(8)]
        y += 1


def challenge(r, key, message):
    return int.from_bytes(sha512(r + key + message).digest(), "little") % L


def sign(secret, message, key=None, nonce=987654321987654321, nonce_torsion=ZERO):
    """Sign under any public key encoding, with a torsion component in R if asked."""
    key = encode(multiply(secret, BASE)) if key is None else key
    r = encode(add(multiply(nonce, BASE), nonce_torsion))
    s = (nonce + challenge(r, key, message) * secret) % L
    return r + s.to_bytes(32, "little")
