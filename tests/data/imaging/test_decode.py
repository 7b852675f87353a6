import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from selcn.data.imaging.decode import Header, ImageFileError, decode_mask, decode_pages
from selcn.data.imaging.read import read_image, read_mask, same_aspect, write_image
from selcn.errors import DataError

HERE = Path("picture")
GREY = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def decode_image(data: bytes) -> tuple[Header, np.ndarray]:
    header, (image,) = decode_pages(data, HERE, frame=0)
    return header, image


def noise(height: int = 20, width: int = 30) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_pictures_come_back_as_they_were_written(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", noise())
    assert (read_image(tmp_path / "a.png") == noise()).all()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tiff", ".webp"])
def test_plain_files_decode_as_opencv_decodes_them(tmp_path: Path, suffix: str) -> None:
    picture = cv2.GaussianBlur(noise(60, 80), (0, 0), 3)
    path = tmp_path / f"ä b{suffix}"
    path.write_bytes(cv2.imencode(suffix, picture)[1].tobytes())
    oracle = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert oracle is not None
    assert np.abs(read_image(path).astype(int) - oracle[..., ::-1]).max() <= 1


def test_grey_palette_and_16_bit_pictures_become_rgb() -> None:
    deep = GREY.astype(np.uint16) * 256 + 255
    colours = np.dstack([deep, deep[::-1], deep])
    for data, expected in (
        (encoded(Image.fromarray(GREY)), GREY[..., None]),
        (encoded(Image.fromarray(GREY).convert("P")), GREY[..., None]),
        (encoded(Image.fromarray(deep)), GREY[..., None]),
        (encoded(Image.fromarray(deep), "TIFF"), GREY[..., None]),
        (cv2.imencode(".png", colours)[1].tobytes(), np.dstack([GREY, GREY[::-1], GREY])),
        (cv2.imencode(".tiff", colours)[1].tobytes(), np.dstack([GREY, GREY[::-1], GREY])),
        (encoded(Image.fromarray(GREY > 100)), (GREY > 100)[..., None] * 255),
    ):
        image = decode_image(data)[1]
        assert image.dtype == np.uint8
        assert image.shape == (4, 6, 3)
        assert (image == expected).all()


def test_what_is_transparent_is_black() -> None:
    half = np.dstack(
        [np.full((4, 6, 3), 200, np.uint8), np.repeat(np.array([[0, 0, 0, 128, 255, 255]], np.uint8), 4, axis=0)]
    )
    image = decode_image(encoded(Image.fromarray(half)))[1]
    assert image[0, :, 0].tolist() == [0, 0, 0, 100, 200, 200]
    palette = Image.fromarray(GREY).convert("P")
    image = decode_image(encoded(palette, transparency=int(np.asarray(palette)[0, 5])))[1]
    assert (image[0, 5] == 0).all()


def test_cmyk_pictures_are_shown_in_their_colours() -> None:
    colour = Image.new("RGB", (16, 16), (200, 30, 90))
    data = encoded(colour.convert("CMYK"), "JPEG", quality=100)
    assert b"Adobe" in data, "stored inverted, as Photoshop does"
    header, image = decode_image(data)
    assert header.mode == "CMYK"
    assert np.abs(image.astype(int) - (200, 30, 90)).max() <= 4


def test_another_colour_profile_is_converted_and_a_broken_one_ignored() -> None:
    picture = Image.new("RGB", (8, 8), (200, 100, 50))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"no profile at all" * 10):
        assert (decode_image(encoded(picture, icc_profile=profile))[1] == (200, 100, 50)).all()
    # A profile whose red and blue primaries are exchanged: the picture's numbers mean exchanged colours.
    tags = {srgb[132 + 12 * n : 136 + 12 * n]: 136 + 12 * n for n in range(int.from_bytes(srgb[128:132], "big"))}
    swapped = bytearray(srgb)
    red, blue = (slice(tags[name], tags[name] + 8) for name in (b"rXYZ", b"bXYZ"))
    swapped[red], swapped[blue] = srgb[blue], srgb[red]
    renamed = bytes(swapped).replace("sRGB".encode("utf-16-be"), "BRGs".encode("utf-16-be")).replace(b"sRGB", b"BRGs")
    image = decode_image(encoded(picture, icc_profile=renamed))[1]
    assert np.abs(image.astype(int) - (50, 100, 200)).max() <= 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_their_exif_says(kind: str, orientation: int) -> None:
    upright = np.zeros((24, 32, 3), np.uint8)
    upright[:12, :16], upright[:12, 16:], upright[12:, :16] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    # EXIF 2.3, tag 0x0112: where row 0 and column 0 of what is stored lie in what is seen.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(
        Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif, **({"quality": 95} if kind != "PNG" else {})
    )
    header, image = decode_image(data)
    assert (header.format, header.orientation) == (kind, orientation)
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright)[4:8, 4:8].max() < 40
    assert np.abs(image.astype(int) - upright)[16:20, 4:8].max() < 40


def png(width: int, height: int, extra: bytes = b"", pixels: bytes = b"") -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


BOMB = zlib.compress(bytes(100_000_000))


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (b"", "unreadable", "not a readable image"),
        (b"broken", "unreadable", "not a readable image"),
        (png(100_000, 100_000), "too-large", "its header claims more pixels than can be decoded"),
        (png(70_000, 1), "too-large", "its header claims more pixels than can be decoded"),
        (png(12_000, 12_000), "too-large", "its header claims more pixels than can be decoded"),
        (png(8, 8, chunk(b"zTXt", b"k\0\0" + BOMB), bytes(200)), "unreadable", "not a readable image"),
        (png(8, 8, chunk(b"iCCP", b"k\0\0" + BOMB), bytes(200)), "unreadable", "not a readable image"),
        (encoded(Image.fromarray(noise()), "JPEG")[:-200], "truncated", "truncated"),
        (encoded(Image.fromarray(noise()))[:-200], "truncated", "truncated"),
        (encoded(Image.fromarray(GREY.astype(np.float32)), "TIFF"), "unreadable", "has 32 bits a pixel"),
    ],
)
def test_hostile_and_broken_files_are_one_line(data: bytes, kind: str, message: str) -> None:
    with pytest.raises(ImageFileError, match=rf"^picture: {message}.*; ") as caught:
        decode_image(data)
    assert caught.value.kind == kind
    assert "\n" not in str(caught.value)


def test_more_pixel_data_than_the_header_claims_is_not_unpacked() -> None:
    image = decode_image(png(8, 8, pixels=bytes(50_000_000)))[1]
    assert image.shape == (8, 8, 3)


WHOLE = [
    encoded(Image.fromarray(noise()), kind) for kind in ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF")
]  # fmt: skip


@settings(max_examples=300)
@given(
    st.sampled_from(WHOLE),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    st.floats(0, 1),
    st.sampled_from([decode_pages, decode_mask]),
)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_any_damage_gives_a_picture_or_one_line(
    data: bytes, changes: list[tuple[float, int]], kept: float, decode: Callable[..., object]
) -> None:
    damaged = bytearray(data)
    for place, value in changes:
        damaged[int(place * len(damaged))] = value
    said = ""
    try:
        decode(bytes(damaged[: max(1, round(kept * len(damaged)))]), HERE)
    except DataError as error:
        said = str(error)
    assert not said or said.startswith("picture: ")
    assert "\n" not in said


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(ImageFileError, match=r"absent\.png: cannot be read \(No such file or directory\)") as caught:
        read_image(tmp_path / "absent.png")
    assert caught.value.kind == "missing"


def test_a_mask_may_differ_in_resolution_but_not_in_shape(tmp_path: Path) -> None:
    mask = np.zeros((450, 600), np.uint8)
    mask[:, 300:] = 255
    write_image(tmp_path / "m.png", mask)
    assert read_mask(tmp_path / "m.png", (200, 150)).mean() == 0.5
    with pytest.raises(DataError, match=r"m\.png: mask is 600x450 but its image is 200x200"):
        read_mask(tmp_path / "m.png", (200, 200))


def test_a_mask_of_zeros_and_ones_counts_and_a_grey_one_is_refused(tmp_path: Path) -> None:
    mask = np.zeros((4, 4), np.uint8)
    mask[:2] = 1
    write_image(tmp_path / "ones.png", mask)
    assert read_mask(tmp_path / "ones.png").mean() == 0.5
    write_image(tmp_path / "grey.png", mask * 90)
    with pytest.raises(DataError, match=r"grey\.png: the mask's brightest pixel is 90; write lesion as 255"):
        read_mask(tmp_path / "grey.png")
    write_image(tmp_path / "empty.png", mask * 0)
    assert not read_mask(tmp_path / "empty.png").any()


@pytest.mark.parametrize(
    "stored",
    [
        Image.fromarray(np.array([[0, 0], [1, 0]], np.uint8)),
        Image.fromarray(np.array([[0, 90], [255, 127]], np.uint8)),
        Image.fromarray(np.array([[False, False], [True, False]])),
        Image.fromarray(np.array([[0, 300], [65535, 32639]], np.uint16)),
        Image.fromarray(np.array([[0, 0], [1, 0]], np.uint16)),
        Image.fromarray(np.array([[0, 0], [255, 1]], np.uint16)),
        Image.fromarray(np.array([[[0] * 3, [9] * 3], [[255] * 3, [0] * 3]], np.uint8)),
        Image.fromarray(np.array([[0, 0], [255, 0]], np.uint8)).convert("P"),
        Image.fromarray(np.array([[[255] * 3 + [0], [0] * 3 + [255]], [[255] * 4, [0] * 4]], np.uint8)),
    ],
)
def test_masks_are_lesion_in_the_lower_left_however_they_are_stored(stored: Image.Image) -> None:
    assert decode_mask(encoded(stored), HERE)[1].tolist() == [[False, False], [True, False]]


def test_shapes_are_compared_whatever_the_resolution() -> None:
    assert same_aspect((600, 450), (200, 150))
    assert same_aspect((1022, 767), (600, 450))
    assert not same_aspect((600, 450), (450, 600))
    assert not same_aspect((600, 450), (450, 450))


def smooth(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 255 // height, columns * 255 // width, (rows + columns) % 256 // 2], axis=-1).astype(
        np.uint8
    )


@settings(max_examples=25)
@given(
    st.tuples(st.integers(1, 400), st.integers(1, 400)),
    st.tuples(st.integers(1, 200), st.integers(1, 200)),
    st.sampled_from([1, 3, 6]),
)
def test_jpeg_is_shrunk_as_it_is_decoded_but_never_below_what_is_asked_for(
    stored: tuple[int, int], smallest: tuple[int, int], orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.new("RGB", stored, (90, 60, 40)), "JPEG", exif=exif)
    header, (picture,) = decode_pages(data, HERE, smallest=smallest)
    whole = stored[::-1] if orientation == 6 else stored
    assert header.size == stored
    assert header.upright == whole
    factor = next((one for one in (8, 4, 2) if all(a >= one * b for a, b in zip(whole, smallest, strict=True))), 1)
    assert picture.shape[1::-1] == tuple(-(-side // factor) for side in whole)


def test_a_shrunk_jpeg_is_nearly_the_picture_shrunk_by_area() -> None:
    picture = smooth(960, 1280)
    data = encoded(Image.fromarray(picture), "JPEG", quality=95)
    (shrunk,) = decode_pages(data, HERE, smallest=(160, 120))[1]
    expected = cv2.resize(picture, (160, 120), interpolation=cv2.INTER_AREA)
    assert shrunk.shape == expected.shape
    assert np.abs(shrunk.astype(float) - expected).mean() < 1
    whole = decode_pages(encoded(Image.fromarray(picture)), HERE, smallest=(160, 120))[1]
    assert (whole[0] == picture).all(), "PNG is decoded whole"
