"""What `evaluate --ood` prints."""

from collections.abc import Sequence
from pathlib import Path

import typer

from selcn.cli.options import EngineChoice, progress, resumable


def print_ood(
    paths: Sequence[Path],
    ood: Path,
    out: Path,
    engine: EngineChoice,
    device: str,
    resamples: int,
    seed: int,
    *,
    overlap: bool,
    json: bool,
) -> None:
    """Print how well images out of distribution are told from usual ones.

    Args:
        paths: a run, whose test images are the usual ones; or a bundle and a catalog of usual images.
        ood: catalog of images out of distribution.
        out: `--out`; of a run by default in its folder, where the report finds it.
        engine: `--engine`.
        device: `--device`.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        overlap: whether usual images may be of lesions that the bundle was trained on.
        json: whether to print JSON.
    """
    from selcn.cli.predict import bundle_and_images, load_predictors, tell_failed
    from selcn.data.catalog import read_catalog
    from selcn.runs.ood import score_ood

    strange = read_catalog(ood)
    bundle, usual, run = bundle_and_images(paths[0], paths[1] if len(paths) == 2 else None)
    folder = run.folder.ood(ood.stem) if run and out == Path("evaluation") else out
    (predictor,), _ = load_predictors(bundle, engine, device)
    with resumable(), progress("scoring") as move:
        scores = score_ood(
            predictor, bundle, usual, strange, folder, overlap=overlap, resamples=resamples, seed=seed, on_progress=move
        )
    if json:
        typer.echo(scores.table.to_json(orient="records", indent=1))
    else:
        typer.echo(
            f"{folder}: {predictor.config.target}, {len(usual)} usual images, {len(strange)} out of distribution"
        )
        typer.echo(scores.table.to_string(index=False, float_format="{:.3f}".format))
        for name, reason in scores.undefined.items():
            typer.echo(f"{name}: not measured, {reason}")
    tell_failed(scores.failed)
