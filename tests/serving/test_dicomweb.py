"""Images in by STOW-RS, DICOM Segmentations out: as the answer, and to a real archive, Orthanc."""

import io
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import numpy as np
import pydicom
import pytest
from fastapi import HTTPException
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import FileDataset

from selcn.data.imaging.read import read_image
from selcn.errors import ConfigError
from selcn.inference.predictor import Predictor
from selcn.serving.access import Access
from selcn.serving.dicomweb import ELSEWHERE, NOT_SUPPORTED, NOT_UNDERSTOOD
from selcn.serving.related import join_related, split_related

Serve = Callable[..., AbstractContextManager[str]]
ORTHANC = Path(__file__).parents[2] / "deploy" / "orthanc.json"
PLUGINS = Path("/usr/share/orthanc/plugins")
ACCEPT = {"accept": 'multipart/related; type="application/dicom"'}


@pytest.fixture(scope="module")
def images(dataset: Callable[..., FileDataset], pictures: list[Path]) -> list[FileDataset]:
    """Two of the run's pictures as DICOM, and one file of both."""
    read = [read_image(path) for path in pictures[:2]]
    return [*(dataset(one, "RGB") for one in read), dataset(np.stack(read), "RGB", NumberOfFrames=2)]


def content(one: FileDataset) -> bytes:
    """As a file holds it."""
    file = io.BytesIO()
    one.save_as(file, enforce_file_format=True)
    return file.getvalue()


def store(address: str, *files: bytes, study: str = "", **headers: str) -> httpx.Response:
    """The answer to STOW-RS."""
    kind, body = join_related(files)
    where = f"{address}/dicomweb/studies{study}"
    return httpx.post(where, content=body, headers={"content-type": kind, **headers}, timeout=60)


def parts(answer: httpx.Response) -> tuple[str, bytes]:
    """What holds the parts of an answer."""
    return answer.headers["content-type"], answer.content


def references(answer: httpx.Response, key: str) -> list[dict[str, object]]:
    """The items of a sequence of an answer, by keyword."""
    found = pydicom.Dataset.from_json(answer.text)
    return [{one.keyword: one.value for one in item} for item in found.get(key, [])]


def outlined(predictor: Predictor, picture: Path) -> np.ndarray:
    """The mask that a picture must get."""
    lesion = predictor.predict(picture).lesion
    assert lesion is not None
    return lesion.mask


def test_segmentations_are_the_answer_to_who_accepts_them(
    serve: Serve, predictor: Predictor, images: list[FileDataset], pictures: list[Path]
) -> None:
    with serve(predictor) as address:
        answer = store(address, *map(content, images), **ACCEPT)
        assert answer.status_code == 200
        made = [pydicom.dcmread(io.BytesIO(one)) for one in split_related(*parts(answer))]
        again = split_related(*parts(store(address, content(images[0]), **ACCEPT)))
    expected = [outlined(predictor, path) for path in (*pictures[:2], *pictures[:2])]
    assert [bool((one.pixel_array == mask).all()) for one, mask in zip(made, expected, strict=True)] == [True] * 4
    assert [one.StudyInstanceUID for one in made] == [images[number].StudyInstanceUID for number in (0, 1, 2, 2)]
    assert pydicom.dcmread(io.BytesIO(again[0])).SOPInstanceUID == made[0].SOPInstanceUID


def test_what_cannot_be_segmented_is_told_with_its_reason(
    serve: Serve, predictor: Predictor, own_predictor: Predictor, images: list[FileDataset]
) -> None:
    good, other = content(images[0]), content(images[1])
    broken = content(images[0])[:-100]
    with serve(predictor, own_predictor) as address:
        study = f"/{images[0].StudyInstanceUID}"
        (segmentation,) = split_related(*parts(store(address, good, **ACCEPT)))
        some = store(address, good, b"no dicom", study=study, **ACCEPT)
        assert some.status_code == 202
        assert "instance 2" in some.headers["warning"]
        none = store(address, segmentation, other, broken, study=study, **ACCEPT)
        assert none.status_code == 409
        assert [one["FailureReason"] for one in references(none, "FailedSOPSequence")] == [
            NOT_SUPPORTED,
            ELSEWHERE,
            NOT_UNDERSTOOD,
        ]
        assert references(none, "ReferencedSOPSequence") == []
        assert references(none, "FailedSOPSequence")[1]["ReferencedSOPInstanceUID"] == images[1].SOPInstanceUID
        assert store(address, good).status_code == 406
        assert store(address, **ACCEPT).status_code == 400
        assert store(address, *[good] * 17, **ACCEPT).status_code == 413
        kinds = {"content-type": "multipart/related; type=application/dicom+json; boundary=x", **ACCEPT}
        assert httpx.post(f"{address}/dicomweb/studies", content=b"x", headers=kinds).status_code == 415
        assert store(address, good, study="?model=own", **ACCEPT).status_code == 422
    with serve(predictor, archive="http://127.0.0.1:9/dicom-web") as address:
        absent = store(address, good)
        assert (absent.status_code, absent.json()["detail"]) == (
            502,
            "the archive 127.0.0.1 does not answer (ConnectError)",
        )


@pytest.mark.parametrize("archive", ["archive:8042", "ftp://archive", "http://"])
def test_an_archive_needs_an_address(serve: Serve, predictor: Predictor, archive: str) -> None:
    with pytest.raises(ConfigError, match="--stow-to"), serve(predictor, archive=archive):
        pass


@given(st.lists(st.binary(min_size=1), max_size=4))
def test_parts_come_back_as_they_were(files: list[bytes]) -> None:
    assert split_related(*join_related(files)) == files


@given(st.binary(), st.sampled_from([b"--x\r\n\r\n", b"--x\r\na: b", b"--x--", b""]), st.binary())
def test_any_other_body_is_refused_or_split(before: bytes, between: bytes, after: bytes) -> None:
    body = before + between + after
    found: list[bytes] | int
    try:
        found = split_related("multipart/related; boundary=x", body)
    except HTTPException as refused:
        found = refused.status_code
    assert found == 400 if isinstance(found, int) else all(part and part in body for part in found)


@pytest.fixture(scope="module")
def ports() -> tuple[int, int]:
    """Of an archive and of a server that need to know one another."""
    found = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            found.append(int(free.getsockname()[1]))
    return found[0], found[1]


@pytest.fixture(scope="module")
def orthanc(ports: tuple[int, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an Orthanc that knows the server as the example says."""
    program = shutil.which("Orthanc")
    plugins = list(PLUGINS.glob("libOrthancDicomWeb.so*"))
    if program is None or not plugins:
        pytest.skip("no Orthanc here; install Debian's packages orthanc and orthanc-dicomweb")
    folder = tmp_path_factory.mktemp("orthanc")
    example = ORTHANC.read_text().replace("127.0.0.1:8000", f"127.0.0.1:{ports[1]}").replace("TOKEN", "secret")
    more = {
        "HttpPort": ports[0],
        "DicomServerEnabled": False,
        "AuthenticationEnabled": False,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(plugins[0])],
    }
    (folder / "orthanc.json").write_text(json.dumps({**json.loads(example), **more}))
    with (folder / "log").open("w") as log, subprocess.Popen([program, folder / "orthanc.json"], stderr=log) as process:
        address = f"http://127.0.0.1:{ports[0]}"
        while True:
            try:
                httpx.get(f"{address}/system")
                break
            except httpx.TransportError:
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.1)
        yield address
        process.terminate()


def test_an_archive_sends_images_and_gets_segmentations(
    serve: Serve,
    predictor: Predictor,
    images: list[FileDataset],
    pictures: list[Path],
    orthanc: str,
    ports: tuple[int, int],
) -> None:
    sent = [httpx.post(f"{orthanc}/instances", content=content(one)).json()["ID"] for one in images[:2]]

    def push(*resources: str) -> httpx.Response:
        return httpx.post(f"{orthanc}/dicom-web/servers/selcn/stow", json={"Resources": resources}, timeout=60)

    with serve(predictor, access=Access("secret"), archive=f"{orthanc}/dicom-web", port=ports[1]):
        for _ in range(2):  # what is there already is not stored twice
            assert push(*sent).status_code == 200
        for image, picture in zip(images, pictures[:2], strict=False):
            where = f"{orthanc}/dicom-web/studies/{image.StudyInstanceUID}"
            (series,) = httpx.get(f"{where}/series?Modality=SEG").json()
            uid = series["0020000E"]["Value"][0]
            answer = httpx.get(f"{where}/series/{uid}", headers=ACCEPT)
            (file,) = split_related(*parts(answer))
            made = pydicom.dcmread(io.BytesIO(file))
            assert (made.pixel_array == outlined(predictor, picture)).all()
            (source,) = made.ReferencedSeriesSequence[0].ReferencedInstanceSequence
            assert source.ReferencedSOPInstanceUID == image.SOPInstanceUID
        stored = httpx.get(f"{orthanc}/instances").json()
        assert len(stored) == 4
        # A segmentation that is sent like any other instance leads to none of itself.
        segmentation = next(one for one in stored if one not in sent)
        assert push(segmentation).status_code != 200
        assert len(httpx.get(f"{orthanc}/instances").json()) == 4
