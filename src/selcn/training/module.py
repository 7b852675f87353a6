"""The Lightning module of a task: training and validation steps."""

from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from selcn.config import ClassificationSection, Training
from selcn.data.augmentation import Colour, Geometry
from selcn.data.datasets import Batch, as_floats
from selcn.data.views import choose_views
from selcn.labels.metadata import FIELD_OF, FIELDS
from selcn.tasks.task import Task
from selcn.training.mixing import mix
from selcn.training.optimisers import build_optimiser, build_schedule
from selcn.training.profiling import AUGMENTATION

SEEDS_APART = 1_000_003  # above the steps of any training, so that seeds do not collide


class WeighedMean(Metric):
    """Weighted mean of values; NaN where any value is NaN.

    torchmetrics' own `MeanMetric` drops either the weights or the NaN values.
    """

    total: Tensor
    mass: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("total", "mass"):
            self.add_state(name, torch.zeros(()), dist_reduce_fx="sum")

    def update(self, value: Tensor, mass: Tensor | float) -> None:
        """Add one value.

        Args:
            value: a scalar, for example a batch's mean loss.
            mass: its weight, above 0.
        """
        self.total += value * mass
        self.mass += mass

    def compute(self) -> Tensor:
        """The weighted mean, a scalar."""
        return self.total / self.mass


class TrainingModule(L.LightningModule):
    """Trains one network: augmentation, loss, score and optimiser.

    All randomness of a step is seeded by the seed and the step's number, so that a resumed run equals an uninterrupted
    one, and is sampled for the whole batch of all processes, so that several train as one would.

    Args:
        task: what is trained.
        seed: of all randomness.
        rank: of this process, from 0.
        world: number of processes.
    """

    def __init__(self, task: Task, seed: int, *, rank: int = 0, world: int = 1) -> None:
        super().__init__()
        self.task, self.seed, self.process, self.world = task, seed, rank, world
        self.network = task.build()
        self.score, self.val_loss = task.metric(), WeighedMean()
        self.further = nn.ModuleDict(task.further_metrics())

    def on_fit_start(self) -> None:
        """Move the task's constants to the device once, not at every step."""
        self.task = self.task.to(self.device)

    @property
    def frozen(self) -> bool:
        """Whether backbone or encoder stays as it is in this epoch."""
        return self.current_epoch < self.task.section.freeze_epochs

    def on_train_epoch_start(self) -> None:
        """Keep the statistics of a frozen body's batch norms."""
        self.network.body.train(not self.frozen)

    def on_after_backward(self) -> None:
        """Leave a frozen body without gradients, so that the optimiser passes it over.

        Its parameters go on requiring them: processes that train together agree on those once, at the start.
        """
        if self.frozen:
            for parameter in self.network.body.parameters():
                parameter.grad = None

    def training_step(self, batch: Batch, number: int) -> Tensor:
        """Loss of an augmented batch, a scalar; augmentation, mixing and dropout are seeded by the step.

        Args:
            batch: uint8 images (N, 3, H, W) of this process's share, with masks, saliency and labels.
            number: of the batch in the epoch, from 0.
        """
        generator = self._seeded(self.current_epoch * int(self.trainer.num_training_batches) + number)
        with self.trainer.profiler.profile(AUGMENTATION):  # type: ignore[attr-defined]
            batch = self.task.look(augment(batch, self.task, generator, self.process, self.world))
            how, alpha = self.task.mixing
            if how:
                batch = mix(batch, how, alpha, generator)
        loss, logits = self.task.loss(self.network, batch)
        self._log_terms("train", loss, logits, batch)
        if self.world > 1:
            loss = self._of_all(loss, self.task.mass(batch))
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.image), sync_dist=True)
        return loss

    def validation_step(self, batch: Batch, number: int) -> None:
        """Log loss and score of a batch without augmentation.

        Args:
            batch: uint8 images (N, 3, H, W) of this process's share, with masks, saliency and labels.
            number: of the batch in the epoch, from 0.
        """
        torch.manual_seed(self.seed + number)  # of a random or shuffled control
        image = batch.views[:, 0] if batch.views.numel() else as_floats(batch.image)
        batch = self.task.look(batch._replace(image=image))
        loss, logits = self.task.loss(self.network, batch)
        self.task.update(self.score, logits, batch)
        # Weighted as the loss itself, so that the mean does not depend on how images fall into batches.
        self.val_loss.update(loss, self.task.mass(batch))
        self.log("val_loss", self.val_loss, batch_size=len(batch.image))
        self.log(f"val_{self.task.score}", self.score, batch_size=len(batch.image))
        self.task.update_further(self.further, logits, batch)  # type: ignore[arg-type]  # of metrics
        for name, metric in self.further.items():
            self.log(f"val_{name}", metric, batch_size=len(batch.image))  # type: ignore[arg-type]
        self._log_terms("val", loss, logits, batch)

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning's own union of shapes
        """Optimiser and schedule of the section, over the run's true number of steps."""
        optimiser = build_optimiser(self.network, self.task.section)
        schedule = build_schedule(optimiser, self.task.section, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _log_terms(self, subset: str, loss: Tensor, logits: Tensor, batch: Batch) -> None:
        if batch.partner.numel():  # of a mixed batch the terms have no one truth
            return
        for name, value in self.task.terms(loss, logits, batch).items():
            size = len(batch.image)
            self.log(f"{subset}_{name}", value, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)

    def _of_all(self, loss: Tensor, mass: Tensor | float) -> Tensor:
        """This process's contribution to the mean over the whole batch, scaled so that DDP's average is that mean."""
        own = torch.as_tensor(mass, device=loss.device)
        whole = own.clone()
        torch.distributed.all_reduce(whole)
        return loss * own * self.world / whole

    def _seeded(self, step: int) -> torch.Generator:
        step_seed = self.seed * SEEDS_APART + step
        torch.manual_seed(step_seed + self.process * SEEDS_APART**2)
        return torch.Generator().manual_seed(step_seed)


def _thinned(metadata: Tensor, section: Training, whole: int, own: slice, generator: torch.Generator) -> Tensor:
    """Metadata of which each value is missing with the section's probability, sampled for all processes."""
    if not metadata.numel():
        return metadata
    share = section.metadata_dropout if isinstance(section, ClassificationSection) else 0
    kept = torch.rand(whole, len(FIELDS), generator=generator)[own] >= share
    return metadata * kept[:, FIELD_OF].to(metadata)


def augment(batch: Batch, task: Task, generator: torch.Generator, rank: int = 0, world: int = 1) -> Batch:
    """Sample one geometry for image, mask and saliency, and one colour change for the image; apply them.

    Parameters are sampled for the whole batch of ``world`` processes; this process has every ``world``-th image of it,
    from ``rank`` on.

    Of stored features one view is chosen instead, see `choose_views`.

    Args:
        batch: uint8 images (N, 3, H, W), masks (N, 1, H, W) or none, saliency maps (N, 1, h, w); or stored features.
        task: whose section holds the ranges.
        generator: on the CPU, in the same state in all processes.
        rank: of this process, from 0.
        world: number of processes.

    Returns:
        The batch with float images in [0, 1] and masks 0 or 1.
    """
    own, whole = slice(rank, None, world), max(len(batch.image), len(batch.views)) * world
    if batch.views.numel():
        chosen = choose_views(batch, task.section.augment.flip, generator, rank, world)
        return chosen._replace(metadata=_thinned(batch.metadata, task.section, whole, own, generator))
    images, ranges = as_floats(batch.image), task.section.augment
    geometry = Geometry.draw(whole, ranges, generator).of(own)
    if batch.copy.numel():
        geometry = geometry.of_copies(batch.copy.cpu())
    colour = Colour.draw(whole, ranges, generator).of(own)
    aspect = images.shape[3] / images.shape[2]
    metadata = _thinned(batch.metadata, task.section, whole, own, generator)
    mask = (geometry.apply(batch.mask.float(), aspect) > 0.5).float() if batch.mask.numel() else batch.mask
    return batch._replace(
        image=colour.apply(geometry.apply(images, aspect)),
        mask=mask,
        saliency=tuple(geometry.apply(one, aspect) for one in batch.saliency),
        metadata=metadata,
    )
