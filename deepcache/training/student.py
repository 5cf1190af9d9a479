"""Training of a student: of the blocks of a text-to-image model some are removed, the rest learns from it (BK-SDM)."""

from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import StableDiffusionPipeline, UNet2DConditionModel

from deepcache.caching.layer_outputs import first_output
from deepcache.errors import DeepCacheError
from deepcache.training.autoencoder import encode_all
from deepcache.training.described import TextToImage
from deepcache.training.diffusion import denoising_loss
from deepcache.training.loop import TrainingResult, TrainingSettings, fit
from deepcache.training.text_to_image import Captioned

CHECKPOINTS = Path(__file__).resolve().parents[2] / "resources/checkpoints"
OUTPUT_WEIGHT = FEATURE_WEIGHT = 1.0  # beside the loss of the task (their Eq. 4)


def initialise_from(student: UNet2DConditionModel, teacher: UNet2DConditionModel) -> None:
    """Give the student the weights of the teacher's layers that it keeps (their section 3.1).

    Of two layers in a down block the first is kept, of three in an up block the first and the last.

    Raises:
        DeepCacheError: if a layer of the student has no such layer in the teacher.
    """
    weights, kept = teacher.state_dict(), {}
    try:
        for name in student.state_dict():
            parts = name.split(".")
            if parts[0] == "up_blocks" and parts[2] in ("resnets", "attentions") and parts[3] == "1":
                parts[3] = "2"
            kept[name] = weights[".".join(parts)]
        student.load_state_dict(kept)
    except (KeyError, RuntimeError) as error:
        raise DeepCacheError(f"the student's layers are not among the teacher's ({error})") from error


class Features:
    """The outputs of a U-Net's blocks in its last pass, from the outermost down block to the outermost up block."""

    def __init__(self, unet: UNet2DConditionModel):
        self.last: list[torch.Tensor] = []
        for block in (*unet.down_blocks, unet.mid_block, *unet.up_blocks):
            block.register_forward_hook(self._append)

    def _append(self, block, args, output) -> None:
        self.last.append(first_output(output))

    def take(self) -> list[torch.Tensor]:
        """Return them and forget them."""
        taken, self.last = self.last, []
        return taken


def distillation_loss(student, teacher, student_features: Features, teacher_features: Features, x, t, context):
    """Output and feature distillation, and the student's output: (loss, output); their Eq. 2 and 3."""
    output = student(x, t, encoder_hidden_states=context).sample
    with torch.no_grad():
        wanted = teacher(x, t, encoder_hidden_states=context).sample
    pairs = zip(student_features.take(), teacher_features.take(), strict=True)
    features = sum(F.mse_loss(ours, theirs) for ours, theirs in pairs)
    return OUTPUT_WEIGHT * F.mse_loss(output, wanted) + FEATURE_WEIGHT * features, output


def train_student(
    model: TextToImage, name: str, phases: dict[str, TrainingSettings], folder: Path
) -> dict[str, TrainingResult]:
    """Distil a shipped model, whose first stage and text encoder stay as they are, and save the pipeline."""
    settings = phases["unet"]
    pipeline = StableDiffusionPipeline.from_pretrained(CHECKPOINTS / model.name, dtype=torch.float32)
    vae, text_encoder, teacher = pipeline.vae, pipeline.text_encoder, pipeline.unet.eval()
    described = model.described()
    latents = encode_all(vae, described.images)
    captioned = Captioned(*latents, described.labels, described.texts, pipeline.tokenizer)
    student = UNet2DConditionModel.from_config({**teacher.config, "layers_per_block": 1})
    initialise_from(student, teacher)
    learning, known = Features(student), Features(teacher)
    for part in (vae, text_encoder, teacher):
        part.requires_grad_(False)

    def batch_loss(generator: torch.Generator) -> torch.Tensor:
        latents, ids = captioned.draw(settings.batch_size, generator)
        context, distilled = text_encoder(ids).last_hidden_state, []

        def predict(x, t):
            loss, output = distillation_loss(student, teacher, learning, known, x, t, context)
            distilled.append(loss)
            return output

        return denoising_loss(predict, latents, pipeline.scheduler, generator) + distilled[0]

    result = fit(student, batch_loss, settings, name)
    pipeline.unet = student
    for part in (vae, text_encoder, student):
        part.half()
    pipeline.save_pretrained(folder)
    return {"unet": result}
