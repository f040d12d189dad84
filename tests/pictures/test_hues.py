"""Hues that meet in one picture differ for a reader with any kind of colour vision, and on a grey
printer.
"""

from __future__ import annotations

from itertools import combinations

import pytest

from zerocopy_lab.pictures import alias_proof, byte_map, theme
from zerocopy_lab.pictures.theme import contrast, luminance, readable_on, turned_round

# Machado, Oliveira and Fernandes 2009, severity 1.0: linear RGB as a dichromat sees it.
VISION = {
    "full": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
FILLS = {
    "sender and total": (theme.SENDER, theme.TOTAL),
    "copies and calls": (theme.SENDER, theme.RATE, "#E3E3E3"),
    "alias": (theme.COPY, theme.ALIAS, alias_proof._FILLS[alias_proof.MIXED]),
    "movers": (theme.CPU, theme.DMA),
    "pages": (theme.ABSENT, theme.RESIDENT, theme.DIRTY, theme.WRITEBACK),
    "replicas": (theme.SENDER, theme.TOTAL, theme.ABSENT),
    "verdicts": (theme.SENDER, theme.CPU, theme.TOTAL, theme.ABSENT),
    "segments": (theme.SENDER, theme.RESIDENT, theme.PAPER),
}


def linear(hue: str) -> list[float]:
    channels = [int(hue[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]


def lab(rgb: list[float]) -> tuple[float, float, float]:
    """CIELAB of linear sRGB under D65."""
    r, g, b = (min(1.0, max(0.0, c)) for c in rgb)
    x = (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505
    y = 0.2126 * r + 0.7152 * g + 0.0722 * b
    z = (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089
    fx, fy, fz = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def difference(one: str, other: str, vision: str) -> float:
    seen = [
        lab([sum(w * c for w, c in zip(row, linear(hue), strict=True)) for row in VISION[vision]])
        for hue in (one, other)
    ]
    return sum((a - b) ** 2 for a, b in zip(*seen, strict=True)) ** 0.5


def lightness(hue: str) -> float:
    return lab(linear(hue))[0]


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("fills", FILLS.values(), ids=FILLS.keys())
def test_fills_differ_for_every_eye(fills: tuple[str, ...], vision: str) -> None:
    for one, other in combinations(fills, 2):
        assert difference(one, other, vision) > 20, (one, other)


@pytest.mark.parametrize("fills", FILLS.values(), ids=FILLS.keys())
def test_fills_differ_in_grey(fills: tuple[str, ...]) -> None:
    for one, other in combinations(fills, 2):
        assert abs(lightness(one) - lightness(other)) > 12, (one, other)


def test_kinds_of_bytes_differ_in_grey() -> None:
    for one, other in combinations(byte_map.KINDS.values(), 2):
        assert abs(lightness(one) - lightness(other)) > 6, (one, other)


@pytest.mark.parametrize("vision", VISION)
def test_lines_differ_for_every_eye(vision: str) -> None:
    for one, other in combinations(theme.SERIES, 2):
        assert difference(one, other, vision) > 10, (one, other)


def test_lines_differ_in_more_than_hue() -> None:
    looks = list(zip(theme.MARKERS, map(str, theme.DASHES), strict=True))
    assert len(looks) == len(theme.SERIES)
    assert len({marker for marker, _ in looks}) == len({dash for _, dash in looks}) == len(looks)


def test_text_on_a_fill_is_readable() -> None:
    """In a light theme, and turned round for a dark one."""
    told = (alias_proof._FILLS[each] for each in (alias_proof.OLD, alias_proof.NEW))
    for fill in (*byte_map.KINDS.values(), *told, theme.PAPER):
        ink = readable_on(fill)
        assert contrast(ink, fill) >= 4.5, fill
        assert contrast(turned_round(ink), turned_round(fill)) >= 4.5, fill


def contrast_with_paper(hue: str) -> float:
    return (luminance(theme.PAPER) + 0.05) / (luminance(hue) + 0.05)


@pytest.mark.parametrize("hue", [*theme.SERIES, theme.CPU, theme.DMA, theme.NOBODY])
def test_lines_and_arrows_stand_out_from_the_paper(hue: str) -> None:
    assert contrast_with_paper(hue) >= 3


def test_quiet_text_is_readable_on_paper() -> None:
    assert 1.05 / (luminance(theme.QUIET) + 0.05) >= 4.5
