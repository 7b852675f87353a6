import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from selcn.data.discovery import by_name, find_images, find_pictures, masks_by_name, walk, walk_all
from selcn.data.naming import is_mask
from selcn.errors import DataError

Picture = Callable[..., Path]


def test_folders_without_images_and_paths_that_are_not_there(tmp_path: Path, picture: Picture) -> None:
    with pytest.raises(DataError, match="holds no images"):
        find_images(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        find_pictures([tmp_path / "absent"])
    file = picture(tmp_path / "x.jpg")
    assert find_pictures([file, tmp_path]) == [file, file]


def test_links_are_followed_but_not_in_a_circle(tmp_path: Path, picture: Picture) -> None:
    picture(tmp_path / "elsewhere" / "ü ber" / "a.png")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere" / "circle").symlink_to(tmp_path / "data", target_is_directory=True)
    (tmp_path / "data" / "b.png").symlink_to(tmp_path / "elsewhere" / "ü ber" / "a.png")
    (tmp_path / "data" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    found = [path.relative_to(tmp_path / "data").as_posix() for path in find_images(tmp_path / "data")]
    assert found == ["b.png", "linked/ü ber/a.png"]


def test_files_of_the_system_are_left_out(tmp_path: Path, picture: Picture) -> None:
    for name in ("a.png", ".b.png", "._a.png", "__MACOSX/a.png", ".cache/c.png"):
        picture(tmp_path / name)
    assert [path.name for path in walk(tmp_path)] == ["a.png"]


def test_masks_go_by_the_name_of_their_image(tmp_path: Path, picture: Picture) -> None:
    names = ("ISIC_1_Segmentation.png", "IMD2_lesion.bmp", "x_y_mask.PNG", "plain.png")
    files = [picture(tmp_path / name) for name in names]
    assert [is_mask(file) for file in files] == [True, True, True, False]
    assert list(masks_by_name(files)) == ["ISIC_1", "IMD2", "x_y", "plain"]


def test_all_doubled_names_are_told_but_links_to_a_file_and_copies_count_once(tmp_path: Path, picture: Picture) -> None:
    files = [
        picture(tmp_path / folder / name, level) for level, folder in enumerate("ab") for name in ("1.png", "2.png")
    ]
    with pytest.raises(DataError, match=r"a/1\.png and .*b/1\.png have one name \| .*a/2\.png and .*b/2\.png"):
        by_name(files)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "1.png").symlink_to(files[0])
    copy = picture(tmp_path / "e" / "1.png", 0)
    assert by_name([files[0], tmp_path / "d" / "1.png", copy]) == {"1": files[0]}


def test_files_and_folders_together_give_each_file_once(tmp_path: Path, picture: Picture) -> None:
    file, other = picture(tmp_path / "a" / "x.png"), picture(tmp_path / "b.csv.png")
    assert walk_all([tmp_path / "a", other, tmp_path, file]) == [file, other]
    with pytest.raises(DataError, match=r"x\.png: is a file; give its folder"):
        find_images(file)


def test_a_folder_that_cannot_be_read_is_not_passed_over(
    tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "locked").mkdir()
    scan = os.scandir

    def refuse(folder: str) -> Iterator[os.DirEntry[str]]:
        if str(folder).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)  # a superuser may read any
    with pytest.raises(DataError, match=r"locked: cannot be read \(Permission denied\); check its permissions"):
        walk(tmp_path)
