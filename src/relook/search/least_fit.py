"""Leaves out what fits less than a person asks for. Layer: search.

Every image is read, not a page's hits: the order of a query of several parts, and of a session that
has learnt, is another than that of fit.
"""

from dataclasses import replace

import numpy as np

from relook.core.errors import InputError
from relook.core.vectors import Floats
from relook.encoders.base import Encoder
from relook.library.files import LibraryFiles
from relook.search.filtering import Filter
from relook.search.fit import LookedFor, fit_scale, fits_of

_FITS = "fits of every image"
_REMEMBERED = 4  # queries; four bytes an image each
_AT_ONCE = 2048  # images
_ROUNDING = 6e-5  # a fit that was read off a page, in four digits, is reached by its picture


def only_fitting(
    only: Filter, wanted: LookedFor | None, files: LibraryFiles, encoder: Encoder
) -> Filter:
    """A filter whose least fit has become images that are left out.

    Args:
        only: With a least fit, or without: then it is returned as it is.
        wanted: What fit is told of.
        files: The library.
        encoder: Its encoder.

    Raises:
        InputError: `no_fit` where fit is not known.
    """
    if not only.min_fit or not len(files.row_table):
        return only
    if wanted is None or not fit_scale(files, encoder).is_known:
        raise InputError(
            "no_fit",
            "fit is not known here, so none can be asked for",
            "it is told of words, in libraries of 30 pictures or more; leave the least fit out",
        )
    below = _fits(wanted, files, encoder) < only.min_fit - _ROUNDING
    return replace(only, without=only.without | set(files.row_table[below, 2].tolist()))


def _fits(wanted: LookedFor, files: LibraryFiles, encoder: Encoder) -> Floats:
    """[n images by row] how well each fits; kept for a moment of the files."""
    known: dict[object, Floats] = files.derived.setdefault(_FITS, {})
    key = wanted.vectors.tobytes(), wanted.usual.tobytes(), wanted.places
    if key not in known:
        ids = files.row_table[:, 2].tolist()
        parts = [ids[at : at + _AT_ONCE] for at in range(0, len(ids), _AT_ONCE)]
        fits = [fit for part in parts for fit in fits_of(wanted, part, files, encoder)]
        for old in list(known)[: max(len(known) - _REMEMBERED + 1, 0)]:
            known.pop(old, None)  # another thread may have been faster
        known[key] = np.array(fits, np.float32)
    return known[key]
