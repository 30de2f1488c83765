"""The text of a file that a person or a program wrote, in whichever Unicode. Layer: core.

Windows writes UTF-16 now and then (PowerShell's `>`, Notepad's "Unicode"), with a byte order mark.

Source: The Unicode Standard 15.0, 23.8 (byte order mark).
"""

import codecs

# A mark of UTF-32 begins as the one of UTF-16 does.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_MOST_NULS = 0.2  # of its characters


def encoding_of(data: bytes) -> str:
    """The encoding that a byte order mark says; UTF-8 where there is none."""
    return next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")


def decoded(data: bytes) -> str:
    """The text, without its byte order mark.

    Raises:
        UnicodeDecodeError: when it is neither UTF-8 nor of what its mark says, or is full of
            NULs, as UTF-16 without a mark is; a text with a few is a text.
    """
    encoding = encoding_of(data)
    text = data.decode(encoding)
    if text.count("\0") > len(text) * _MOST_NULS:
        at = data.index(0)
        raise UnicodeDecodeError(encoding, data, at, at + 1, "so many NULs stand in no text")
    return text
