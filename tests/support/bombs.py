"""Files that would unpack to gigabytes, small as they are; for tests and for benchmarks/hostile.py."""

import gzip
import io
import math
import struct
import zlib
from collections.abc import Iterator

import jpeg_ls  # type: ignore[import-untyped]
import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    VLPhotographicImageStorage,
    generate_uid,
)

MIB = 2**20
SMALL = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)


def photograph(pixels: np.ndarray, photometric: str, syntax: str | None = None, **more: object) -> FileDataset:
    """A DICOM photograph of uint8 or 12-bit pixels."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = VLPhotographicImageStorage, generate_uid()
    meta.TransferSyntaxUID = UID(syntax or ExplicitVRLittleEndian)
    made = FileDataset("made", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    made.StudyInstanceUID, made.SeriesInstanceUID, made.Modality = generate_uid(), generate_uid(), "XC"
    colours = 3 if photometric in ("RGB", "YBR_FULL", "YBR_FULL_422") else 1
    made.Rows, made.Columns = pixels.shape[-2 - (colours == 3) :][:2]
    made.SamplesPerPixel, made.PhotometricInterpretation = colours, photometric
    if colours == 3:
        made.PlanarConfiguration = 0
    made.BitsAllocated = 8 * pixels.dtype.itemsize
    made.BitsStored = 8 if pixels.dtype == np.uint8 else 12
    made.HighBit, made.PixelRepresentation = made.BitsStored - 1, 0
    made.PixelData = pixels.tobytes()
    for name, value in more.items():
        setattr(made, name, value)
    return made


def zeros(mib: int, *, wbits: int = zlib.MAX_WBITS, before: bytes = b"") -> bytes:
    """Many, deflated."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return deflate.compress(before) + b"".join(deflate.compress(bytes(MIB)) for _ in range(mib)) + deflate.flush()


def png(side: int = 16, extra: bytes = b"", pixels: bytes = b"") -> bytes:
    """A PNG that claims a square."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    more = chunk(extra[:4], extra[4:]) if extra else b""
    return b"\x89PNG\r\n\x1a\n" + head + more + chunk(b"IDAT", pixels or zeros(1)) + chunk(b"IEND", b"")


def tiff(tile: int) -> bytes:
    """A TIFF of 16 x 16 pixels in one deflated tile of any size."""
    data = zeros(math.ceil(tile * tile * 3 / MIB))
    data += bytes(-len(data) % 2)
    depths = 8 + len(data)
    integers = {256: 16, 257: 16, 322: tile, 323: tile, 324: 8, 325: len(data)}
    shorts = {259: 8, 262: 2, 277: 3, 284: 1}
    entries = [(tag, 4, 1, value) for tag, value in integers.items()]
    entries += [(tag, 3, 1, value) for tag, value in shorts.items()] + [(258, 3, 3, depths)]
    directory = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    start = struct.pack("<2sHI", b"II", 42, depths + 6)
    return start + data + struct.pack("<3H", 8, 8, 8) + struct.pack("<H", len(entries)) + directory + bytes(4)


def tiff_pages(further: bytes) -> bytes:
    """An honest page, then a page of another file."""
    first = image_file(16, "TIFF")
    first += bytes(-len(first) % 2)
    (start,) = struct.unpack("<I", further[4:8])
    link = struct.unpack("<I", first[4:8])[0]
    link += 2 + 12 * struct.unpack("<H", first[link : link + 2])[0]
    # Offsets of the further file move by the length of the first: strips or tiles, and values that fill no entry.
    moved, place = bytearray(further), start + 2
    for entry in range(place, place + 12 * struct.unpack("<H", further[start:place])[0], 12):
        tag, _, count, value = struct.unpack("<HHII", further[entry : entry + 12])
        if tag in (258, 324) and (tag == 324 or count > 2):
            moved[entry + 8 : entry + 12] = struct.pack("<I", value + len(first))
    return first[:link] + struct.pack("<I", start + len(first)) + first[link + 4 :] + bytes(moved)


def fits() -> bytes:
    """A FITS image of 16 x 16 pixels, compressed by gzip."""

    def header(*cards: str) -> bytes:
        return b"".join(card.ljust(80).encode() for card in (*cards, "END")).ljust(2880)

    data = gzip.compress(bytes(100 * MIB))
    shape = {"BITPIX": 8, "NAXIS": 2, "NAXIS1": 8, "NAXIS2": 1, "PCOUNT": len(data), "GCOUNT": 1, "TFIELDS": 1}
    packed = {"ZBITPIX": 8, "ZNAXIS": 2, "ZNAXIS1": 16, "ZNAXIS2": 16}
    table = header(
        "XTENSION= 'BINTABLE'",
        *(f"{name:8}= {value:20}" for name, value in (shape | packed).items()),
        f"{'ZIMAGE':8}= {'T':>20}",
        "ZCMPTYPE= 'GZIP_1  '",
    )
    primary = header(*(f"{name:8}= {value:>20}" for name, value in {"SIMPLE": "T", "BITPIX": 8, "NAXIS": 0}.items()))
    return primary + table + struct.pack(">II", len(data), 0) + data


def written(made: FileDataset) -> bytes:
    """As a file holds it."""
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


def encapsulated(frame: bytes, syntax: str, photometric: str = "RGB") -> bytes:
    """A DICOM file that claims 16 x 16 pixels."""
    made = photograph(SMALL, photometric, syntax)
    made.PixelData = encapsulate([frame])
    made["PixelData"].is_undefined_length = True
    return written(made)


def deflated(pixels: np.ndarray = SMALL, more: int = 0, photometric: str = "RGB") -> bytes:
    """A deflated DICOM file with some MiB more behind its pixels."""
    plain = written(photograph(pixels, photometric, DeflatedExplicitVRLittleEndian))
    start = 144 + int.from_bytes(plain[140:144], "little")
    body = zlib.decompress(plain[start:], -zlib.MAX_WBITS)
    padding = struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, more * MIB) if more else b""
    return plain[:start] + zeros(more, wbits=-zlib.MAX_WBITS, before=body + padding)


def image_file(side: int, kind: str, **options: object) -> bytes:
    """A black square."""
    file = io.BytesIO()
    Image.new("RGB", (side, side)).save(file, kind, **options)
    return file.getvalue()


def run_lengths(mib: int) -> bytes:
    """Three segments of zeros, 64 times as many as bytes."""
    segment = b"\x81\0" * (mib * MIB // 128)
    starts = [64 + number * len(segment) for number in range(3)]
    return struct.pack("<16I", 3, *starts, *[0] * 12) + 3 * segment


def avif(side: int) -> bytes:
    """An AVIF whose container claims 16 x 16 pixels."""
    data = bytearray(image_file(side, "AVIF", speed=10))
    place = data.index(b"ispe") + 8
    data[place : place + 8] = struct.pack(">II", 16, 16)
    return bytes(data)


def gif(side: int) -> bytes:
    """A GIF of 16 x 16 pixels whose second of three frames reaches beyond, and is wiped away before the third."""
    made = io.BytesIO()
    frames = [Image.new("L", (16, 16), level) for level in (0, 100, 200)]
    frames[0].save(made, "GIF", save_all=True, append_images=frames[1:], disposal=2)
    data = made.getvalue()
    second = data.index(b",", data.index(b",") + 1)
    return data[: second + 5] + struct.pack("<HH", side, side) + data[second + 9 :]


def jpeg2000(side: int, tile: int, block: int = 4, precinct: int | None = None) -> bytes:
    """A codestream of a square in square tiles, with hardly any data, and powers of two as sizes of its blocks."""
    size = struct.pack(">H8IH", 0, side, side, 0, 0, tile, tile, 0, 0, 3) + b"\7\1\1" * 3
    levels = 0 if precinct is None else 1
    style = struct.pack(">BBHB5B", levels, 0, 1, 0, levels, block - 2, block - 2, 0, 1)
    style += bytes([precinct * 17] * 2) if precinct is not None else b""
    steps = bytes([0x40, *[0x48] * (3 * levels + 1)])
    made = b"\xff\x4f"
    for marker, content in ((0x51, size), (0x52, style), (0x5C, steps), (0x90, struct.pack(">HIBB", 0, 0, 0, 1))):
        made += struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
    return made + b"\xff\x93" + bytes(500) + b"\xff\xd9"


def bombs() -> Iterator[tuple[str, bytes, str]]:
    """Name, content, and what is told of each."""
    large = 6_000
    huge_png = png(large, pixels=zeros(math.ceil(large * (3 * large + 1) / MIB)))
    icon = struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(huge_png), 22)
    yield "png", png(pixels=zeros(100)), "[(16, 16, 3)]"
    yield "png-claims", huge_png, "too-large"
    yield "ztxt", png(extra=b"zTXtk\0\0" + zeros(100)), "unreadable"
    yield "itxt", png(extra=b"iTXtk\0\1\0\0\0" + zeros(100)), "unreadable"
    yield "iccp", png(extra=b"iCCPk\0\0" + zeros(100)), "unreadable"
    yield "tiff", tiff(large), "too-large"
    yield "tiff-page", tiff_pages(tiff(large)), "too-large"
    yield "fits", fits(), "[(16, 16, 3)]"
    yield "ico", icon + huge_png, "too-large"  # by another format that it could be
    yield "avif", avif(large), "too-large"
    yield "gif", gif(large), "too-large"
    yield "jpeg2000-tiles", jpeg2000(100, 1), "too-large"
    yield "jpeg2000-precincts", jpeg2000(60, 60, precinct=1), "[(60, 60, 3)]"
    tiny = {"tiles": jpeg2000(250, 1), "precincts": jpeg2000(2000, 2000, precinct=1), "blocks": jpeg2000(4000, 4000, 2)}
    for kind, data in tiny.items():
        yield f"dicom-{kind}", encapsulated(data, JPEG2000Lossless), "too-large"
    yield "deflate", deflated(more=100), "too-large"
    yield "deflate-claims", deflated(np.zeros((large, large, 3), np.uint8)), "too-large"
    yield "rle", encapsulated(run_lengths(35), RLELossless), "too-large"
    yield "jpeg", encapsulated(image_file(large, "JPEG"), JPEGBaseline8Bit, "YBR_FULL_422"), "too-large"
    yield "jpeg2000", encapsulated(image_file(6_000, "JPEG2000", no_jp2=True), JPEG2000Lossless), "too-large"
    coded = jpeg_ls.encode(np.zeros((large, large, 3), np.uint8)).tobytes()
    yield "jpeg-ls", encapsulated(coded, JPEGLSLossless), "too-large"
