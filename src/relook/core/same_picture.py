"""Whether two pictures are one: local features, a homography, the pixels. Layer: core.

Vectors say that two pictures are alike; this says whether they are the same picture, an edited one,
a part of one, or its mirror image, and where the one lies in the other. What it cannot show it
calls only similar: two photographs of one scene are two pictures.

Source: D. Lowe, "Distinctive Image Features from Scale-Invariant Keypoints" (2004); R. Arandjelovic
and A. Zisserman, "Three things everyone should know to improve object retrieval" (2012), for
RootSIFT; D. Barath et al., "MAGSAC++" (2020). All as OpenCV has them.
"""

import importlib.util
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from relook.core.registry import import_extra
from relook.core.vectors import Floats
from relook.core.verdicts import ONLY_SIMILAR, WHOLE, Verdict, Verified

SIDE_PX = 512
"""Longest side at which pictures are compared; more finds nothing more and takes longer."""
_N_FEATURES = 1200
_RATIO, _OFF_PX = 0.82, 4.0
_LEAST_POINTS, _LEAST_BLOCKS = 10, 6
_BLOCK_PX, _LOOK_PX = 16, 256
_FLAT = 4.0  # grey levels: a block that varies less shows nothing
_ALIKE_BLOCK, _ALIKE = 0.55, 0.6
_TURNED_WHOLE = 0.7


def check_installed() -> Any:
    """OpenCV's module.

    Raises:
        MissingExtraError: when it is not installed.
    """
    return import_extra("cv2", "comparing pictures", "verify")


def can_compare() -> bool:
    """Whether OpenCV is installed."""
    return importlib.util.find_spec("cv2") is not None


@dataclass(frozen=True, slots=True)
class Features:
    """A picture as it is compared.

    Args:
        rgb: Its pixels, upright and reduced [h, w, 3].
        points: Where its features are, in pixels [n, 2].
        descriptors: What they look like [n, 128].
    """

    rgb: NDArray[np.uint8]
    points: Floats
    descriptors: Floats

    @classmethod
    def of(cls, image: Image.Image) -> "Features":
        """The features of an upright picture of any size."""
        cv2 = check_installed()
        small = image.convert("RGB")
        small.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
        rgb = np.asarray(small)
        sift = cv2.SIFT_create(nfeatures=_N_FEATURES, contrastThreshold=0.02)
        keypoints, described = sift.detectAndCompute(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), None)
        if described is None:
            return cls(rgb, np.empty((0, 2), np.float32), np.empty((0, 128), np.float32))
        rooted = np.sqrt(described / np.maximum(described.sum(1, keepdims=True), 1e-6))
        points = np.array([point.pt for point in keypoints], np.float32)
        return cls(rgb, points, rooted.astype(np.float32))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.rgb.shape[1], self.rgb.shape[0]


class Asked:
    """A picture that others are compared with.

    Args:
        image: Upright, of any size.

    Raises:
        MissingExtraError: when OpenCV is not installed.
    """

    def __init__(self, image: Image.Image) -> None:
        self._straight = Features.of(image)
        self._mirrored = Features.of(ImageOps.mirror(image.convert("RGB")))

    def compared(self, other: Image.Image) -> Verified:
        """How this picture relates to another one, upright and of any size."""
        features = Features.of(other)
        straight = _related(self._straight, features)
        if straight.is_same_picture and straight.agreement >= 0.8:
            return straight
        mirrored = _related(self._mirrored, features)
        if mirrored.is_same_picture and mirrored.agreement > straight.agreement:
            right, left, lower, upper = (1, 0, 3, 2)
            outline = [mirrored.outline[at] for at in (right, left, lower, upper)]
            return Verified(
                Verdict.MIRRORED, tuple(outline), mirrored.shows, mirrored.shown,
                mirrored.agreement, mirrored.n_points,
            )  # fmt: skip
        return straight


def _related(reference: Features, other: Features) -> Verified:
    """How one picture relates to another, without a thought of mirrors."""
    fitted = _homography(reference, other)
    if fitted is None:
        return ONLY_SIMILAR
    homography, n_points = fitted
    corners = _moved(_corners(reference.size), homography)  # [4, 2]
    if not _is_sane(corners, reference.size):
        return ONLY_SIMILAR
    seen = _seen(reference, other, homography)
    if seen.n_blocks < _LEAST_BLOCKS or seen.agreement < _ALIKE:
        return ONLY_SIMILAR
    outline = tuple((float(x), float(y)) for x, y in corners / np.array(other.size, np.float32))
    verdict = _verdict(seen, corners, other.size)
    return Verified(verdict, outline, seen.shows, seen.shown, seen.agreement, n_points)


def _homography(reference: Features, other: Features) -> tuple[Floats, int] | None:
    """What moves the reference's points [3, 3] onto the other's, and how many agree."""
    cv2 = check_installed()
    if min(len(reference.points), len(other.points)) < _LEAST_POINTS:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(reference.descriptors, other.descriptors, k=2)
    good = [best for best, second in pairs if best.distance < _RATIO * second.distance]
    if len(good) < _LEAST_POINTS:
        return None
    source = reference.points[[match.queryIdx for match in good]]
    target = other.points[[match.trainIdx for match in good]]
    cv2.setRNGSeed(0)  # the same two pictures give the same verdict
    homography, inliers = cv2.findHomography(
        source, target, cv2.USAC_MAGSAC, _OFF_PX, maxIters=2000, confidence=0.999
    )
    if homography is None or inliers is None:
        return None
    kept = inliers.ravel().astype(bool)
    n_points = len(np.unique(np.round(target[kept]), axis=0))  # a pattern maps many onto one
    if n_points < _LEAST_POINTS:
        return None
    return homography, n_points


def _corners(size: tuple[int, int]) -> Floats:
    width, height = size
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)


def _moved(points: Floats, homography: Floats) -> Floats:
    with_one = np.concatenate([points, np.ones((len(points), 1), np.float32)], axis=1)
    moved = with_one @ homography.T  # [n, 3]
    away = np.where(np.abs(moved[:, 2:]) < 1e-6, 1e-6, moved[:, 2:])
    return (moved[:, :2] / away).astype(np.float32)


def _is_sane(corners: Floats, size: tuple[int, int]) -> bool:
    """Whether four corners are those of a picture that was moved, not of one turned inside out."""
    edges = np.roll(corners, -1, axis=0) - corners  # [4, 2]
    following = np.roll(edges, -1, axis=0)
    turns = edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0]
    lengths = np.linalg.norm(edges, axis=1)
    sides = np.array([size[0], size[1], size[0], size[1]], np.float32)
    stretch = lengths / sides
    is_convex = bool((turns > 0).all())
    least, most = float(stretch.min()), float(stretch.max())
    return is_convex and least > 0.08 and most < min(12.0, 3 * least)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What pixels say: shares of overlap and agreement, how far colours and margins are off."""

    shows: float
    shown: float
    agreement: float
    n_blocks: int
    colours_off: float
    margin_varies: float


def _seen(reference: Features, other: Features, homography: Floats) -> _Seen:
    """Lays the reference over the other one and compares them block by block."""
    cv2 = check_installed()
    scale = min(_LOOK_PX / max(other.size), 1.0)
    size = (max(round(other.size[0] * scale), 1), max(round(other.size[1] * scale), 1))
    to_small = np.diag([size[0] / other.size[0], size[1] / other.size[1], 1.0]) @ homography
    laid = cv2.warpPerspective(reference.rgb, to_small, size, flags=cv2.INTER_AREA)
    ones = np.ones(reference.rgb.shape[:2], np.uint8)
    mask = cv2.warpPerspective(ones, to_small, size, flags=cv2.INTER_NEAREST) > 0
    beneath = cv2.resize(other.rgb, size, interpolation=cv2.INTER_AREA)
    back = cv2.warpPerspective(
        np.ones(other.rgb.shape[:2], np.uint8), np.linalg.inv(homography), reference.size,
        flags=cv2.INTER_NEAREST,
    ) > 0  # fmt: skip
    agreement, n_blocks = _agreement(laid, beneath, mask)
    off = np.abs(laid.astype(np.float32) - beneath)[mask]
    margin = reference.rgb[~back]
    varies = float(np.median(np.abs(margin - np.median(margin, 0)))) if len(margin) > 50 else 0.0
    colours = float(off.mean()) if len(off) else 255.0
    return _Seen(float(mask.mean()), float(back.mean()), agreement, n_blocks, colours, varies)


def _agreement(
    laid: NDArray[np.uint8], beneath: NDArray[np.uint8], mask: NDArray[np.bool_]
) -> tuple[float, int]:
    """Share of the blocks that show something and look alike, and how many show something."""
    upper, lower = (picture.astype(np.float32).mean(2) for picture in (laid, beneath))  # [h, w]
    alike = 0
    n_blocks = 0
    for top in range(0, mask.shape[0] - _BLOCK_PX + 1, _BLOCK_PX):
        for left in range(0, mask.shape[1] - _BLOCK_PX + 1, _BLOCK_PX):
            here = (slice(top, top + _BLOCK_PX), slice(left, left + _BLOCK_PX))
            if not mask[here].all():
                continue
            a, b = upper[here] - upper[here].mean(), lower[here] - lower[here].mean()
            if max(float(a.std()), float(b.std())) < _FLAT:
                continue
            n_blocks += 1
            alike += float((a * b).mean() / (a.std() * b.std() + 1e-3)) > _ALIKE_BLOCK
    return (alike / n_blocks if n_blocks else 0.0), n_blocks


def _verdict(seen: _Seen, corners: Floats, size: tuple[int, int]) -> Verdict:
    """Of two pictures that lie on each other."""
    edge = corners[1] - corners[0]
    turned = abs(float(np.degrees(np.arctan2(edge[1], edge[0])))) > 2.5
    least = _TURNED_WHOLE if turned else WHOLE
    has_frame = seen.shows >= least and seen.margin_varies < 3.0
    if min(seen.shows, seen.shown) < least and not has_frame:
        return Verdict.PART
    off = np.abs(corners - _corners(size)).max() / max(size)
    is_still = float(off) < 0.02
    is_as_it_was = is_still and seen.colours_off < 10.0 and seen.agreement > 0.93
    return Verdict.SAME if is_as_it_was else Verdict.EDITED
