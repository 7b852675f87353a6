"""What an extra is for, done once on a small scale with selcn's own readers: `python extras.py EXTRA`.

`tests/install/run.py` calls it in an environment that has this extra alone, the suite in one that has all.
"""

import os
import sys
from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from selcn.data.imaging.read import read_image, write_image

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
FLAT = np.full((48, 64, 3), (180, 120, 100), np.uint8)


def annotations() -> None:
    """A mask to COCO's run lengths and back."""
    from selcn.data.annotations.coco import write_coco
    from selcn.data.annotations.corrections import read_annotations
    from selcn.data.annotations.record import Annotation
    from selcn.data.annotations.shapes import encode_mask

    mask = np.zeros((6, 8), bool)
    mask[1:4, 2:7] = True
    given = Annotation("a", "a.png", (8, 6), encode_mask(mask), {"diagnosis": "mel"}, 0.5, 0.5)
    write_coco([given], Path("coco.json"), {"diagnosis": ["nv", "mel"]})
    (read,) = read_annotations(Path("coco.json")).annotations
    assert (read.mask() == mask).all()
    assert read.words == {"diagnosis": "mel"}


def dicom() -> None:
    """The pixels of a DICOM photograph."""
    from bombs import photograph

    photograph(FLAT, "RGB").save_as("lesion.dcm", enforce_file_format=True)
    assert (read_image(Path("lesion.dcm")) == FLAT).all()


def hdf5() -> None:
    """An encoded image of an HDF5 file, by its id."""
    import h5py

    write_image(Path("lesion.png"), FLAT)
    with h5py.File("lesions.hdf5", "w") as file:
        file["ISIC_1"] = np.void(Path("lesion.png").read_bytes())
    assert (read_image(Path("lesions.hdf5#ISIC_1")) == FLAT).all()


def heic() -> None:
    """A HEIC image, whose compression may change colours a little."""
    import pillow_heif
    from PIL import Image

    pillow_heif.register_heif_opener()
    Image.fromarray(FLAT).save("lesion.heic", quality=95)
    assert np.abs(read_image(Path("lesion.heic")).astype(int) - FLAT).max() < 8


def xlsx() -> None:
    """The first sheet of a spreadsheet."""
    import openpyxl

    from selcn.io.tables import read_table

    book = openpyxl.Workbook()
    for row in (["image_id", "diagnosis"], ["ISIC_1", "nv"]):
        book.active.append(row)
    book.save("table.xlsx")
    assert read_table(Path("table.xlsx"), ["diagnosis"]).to_dict("list") == {
        "image_id": ["ISIC_1"],
        "diagnosis": ["nv"],
    }


def download() -> None:
    """A table of a data set, from a mirror on this machine."""
    from file_server import serving

    from selcn.data.download import download as fetch_all
    from selcn.data.download import find_data_set

    data_set, name = find_data_set("isic2016"), "ISBI2016_ISIC_Part3_Test_GroundTruth.csv"
    with serving() as server:
        server.files[f"isic-archive.s3.amazonaws.com/challenges/2016/{name}"] = b"ISIC_1,0.0\n"
        fetch_all(data_set, Path("ISIC2016"), lambda *_: None, only=name, mirror=server.address)
    assert (Path("ISIC2016") / name).read_bytes() == b"ISIC_1,0.0\n"


def hub() -> None:
    """A file of a repository of a hub on this machine, into the cache."""
    from hub import Repository
    from hub import hub as running_hub

    with running_hub() as server:
        repository = Repository(private=False)
        repository.commits["1" * 40], repository.branches["main"] = {"config.json": b"{}"}, "1" * 40
        server.repositories["owner/name"] = repository
        os.environ |= {"HF_ENDPOINT": server.address, "HF_HUB_DISABLE_XET": "1"}
        from selcn.inference.hub import locate_bundle

        assert (locate_bundle("hf://owner/name") / "config.json").read_bytes() == b"{}"


def storage() -> None:
    """An image of object storage on this machine, asked for as of S3; of Google's library only that it is there."""
    from running import running

    assert find_spec("gcsfs")
    Path("bucket").mkdir(exist_ok=True)
    write_image(Path("bucket/lesion.png"), FLAT)
    with running(ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler)) as server:
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
        os.environ |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", **keys}
        assert (read_image(Path("s3://bucket/lesion.png")) == FLAT).all()


def postgres() -> None:
    """The driver with PostgreSQL's own library, which finds no server; a search needs one (tests/postgres)."""
    import psycopg

    assert psycopg.pq.version() > 0
    try:
        psycopg.connect("host=127.0.0.1 port=1 connect_timeout=5")
    except psycopg.OperationalError:
        return
    raise AssertionError("a server of PostgreSQL listens at port 1")


DEEDS: dict[str, Callable[[], None]] = {
    one.__name__: one for one in (annotations, dicom, hdf5, heic, xlsx, download, hub, storage, postgres)
}

if __name__ == "__main__":
    DEEDS[sys.argv[1]]()
