"""The dermoscopic images that come with selcn: few, small, readable, and each with its source and licence."""

from selcn.data.imaging.read import read_image
from selcn.data.samples import dermoscopy_samples
from selcn.labels import HAM10000


def test_each_sample_is_small_readable_and_attributed() -> None:
    samples = dermoscopy_samples()
    folder = samples[0].path.parent
    assert sorted(folder.glob("*.jpg")) == [one.path for one in sorted(samples)]
    assert {one.diagnosis for one in samples} <= set(HAM10000.names)
    stated = (folder / "README.md").read_text(encoding="utf-8")
    assert "CC0 1.0" in stated
    for one in samples:
        assert one.path.stat().st_size < 30_000
        height, width, _ = read_image(one.path).shape
        assert f"`{one.isic_id}.jpg`" in stated
        assert f"{width} of " in stated or f"{width}x{height}" in stated
