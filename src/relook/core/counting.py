"""How many of what, as people read it. Layer: core."""


def counted(n: int, what: str, several: str = "") -> str:
    """A number and its noun: "1 picture", "1,000 pictures".

    Args:
        n: How many.
        what: One of them, perhaps with its verb: "picture is".
        several: More of them; `what` with an s when empty.
    """
    return f"{n:,} {what}" if n == 1 else f"{n:,} {several or what + 's'}"
