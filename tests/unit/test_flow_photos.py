"""Photos as they come from phones, and as somebody would make them who means harm."""

from __future__ import annotations

import io
import random
import struct
import warnings
import zlib

import pytest
from PIL import Image

from dispatch.flow.deliver_task import MAX_PHOTO_OUT, SIDE, reencode
from dispatch.model.errors import TooLarge, UnsupportedMedia


def _encoded(picture: Image.Image, form: str, **more: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **more)
    return out.getvalue()


def _noise(width: int, height: int) -> Image.Image:
    return Image.frombytes("RGB", (width, height), random.Random(1).randbytes(width * height * 3))


def _opened(jpeg: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(jpeg))
    assert picture.format == "JPEG"
    return picture


def test_where_and_with_what_it_was_taken_is_dropped_and_its_way_up_is_kept() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    exif[0x010F] = "PhoneMaker"
    exif.get_ifd(0x8825)[2] = (30.0, 30.0, 1.0)
    raw = _encoded(Image.new("RGB", (400, 200), "red"), "JPEG", exif=exif, comment=b"taken at home")
    jpeg, width, height = reencode(raw)
    assert (width, height) == (200, 400)
    assert not dict(_opened(jpeg).getexif()) and b"PhoneMaker" not in jpeg and b"taken at home" not in jpeg


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_every_form_of_picture_becomes_a_small_jpeg(form: str) -> None:
    jpeg, width, height = reencode(_encoded(Image.new("RGB", (3000, 2000), "blue"), form))
    assert len(jpeg) <= MAX_PHOTO_OUT and max(width, height) <= SIDE
    assert _opened(jpeg).size == (width, height)


def test_even_noise_is_made_small_enough() -> None:
    raw = _encoded(_noise(1600, 1200), "JPEG", quality=70)
    jpeg, width, height = reencode(raw)
    assert len(jpeg) <= MAX_PHOTO_OUT and width * 3 == height * 4


@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "CMYK", "1", "LA"])
def test_pictures_of_other_colour_modes(mode: str) -> None:
    form = "JPEG" if mode == "CMYK" else "PNG"
    assert reencode(_encoded(Image.new(mode, (50, 40)), form))[1:] == (50, 40)


def test_many_pixels_in_few_bytes_are_refused_before_they_are_unpacked() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    for side in (7_000, 12_000, 60_000):
        header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
        bomb = (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
            + chunk(b"IEND", b"")
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises((TooLarge, UnsupportedMedia)):
                reencode(bomb)


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "PPM"])
def test_other_kinds_of_file_are_refused_whatever_they_are_called(form: str) -> None:
    with pytest.raises(UnsupportedMedia):
        reencode(_encoded(Image.new("RGB", (10, 10)), form))


@pytest.mark.filterwarnings("ignore")
def test_broken_files_are_refused_never_a_failure() -> None:
    luck = random.Random(7)
    exif = Image.Exif()
    exif[0x0112] = 3
    whole = [
        _encoded(_noise(60, 40), "JPEG", exif=exif),
        _encoded(_noise(60, 40), "PNG", exif=exif),
        _encoded(_noise(60, 40), "WEBP", exif=exif),
    ]
    refused = 0
    for number in range(600):
        raw = bytearray(whole[number % 3])
        for _ in range(luck.randint(1, 12)):
            raw[luck.randrange(min(len(raw), luck.choice((60, 400, 10**6))))] = luck.randrange(256)
        if luck.random() < 0.3:
            del raw[luck.randrange(len(raw)) :]
        try:
            reencode(bytes(raw))
        except (UnsupportedMedia, TooLarge):
            refused += 1
    assert refused > 50
    for nothing in (b"", b"\xff\xd8", b"<svg/>", b"\0" * 5000):
        with pytest.raises(UnsupportedMedia):
            reencode(nothing)
