"""Class-conditional latent diffusion with guidance as a diffusers pipeline: the paper's LDM-4-G (Table 1).

What it computes is what CompVis/latent-diffusion computes with its DDIM sampler (Rombach et al. 2022).
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from diffusers import (
    ConfigMixin,
    DDIMScheduler,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    ModelMixin,
    UNet2DConditionModel,
    VQModel,
)
from diffusers.configuration_utils import register_to_config
from diffusers.image_processor import VaeImageProcessor
from diffusers.pipelines.pipeline_utils import ImagePipelineOutput
from diffusers.utils.torch_utils import randn_tensor
from safetensors.torch import load_file, save_file
from torch import nn

from deepcache.errors import DeepCacheError


class ClassEmbedder(ModelMixin, ConfigMixin):
    """Embedding of class labels, the context of the U-Net.

    Args:
        num_embeddings: classes, and one more: the last row stands for "no class".
        embedding_dim: channels of the context.
    """

    WEIGHTS = "model.safetensors"  # holds `embedding.weight`

    @register_to_config
    def __init__(self, num_embeddings: int = 1001, embedding_dim: int = 512):
        super().__init__()
        self.embedding = nn.Embedding(num_embeddings, embedding_dim)

    def forward(self, labels: torch.Tensor) -> torch.Tensor:
        """Return the context, shape (B, 1, embedding_dim), of labels, int64, shape (B,)."""
        return self.embedding(labels)[:, None]

    def save_pretrained(self, save_directory: str | Path) -> None:
        """Write config.json and the weights to a folder."""
        self.save_config(save_directory)
        save_file({"embedding.weight": self.embedding.weight.detach()}, Path(save_directory) / self.WEIGHTS)

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        subfolder: str | None = None,
        dtype: torch.dtype | None = None,
        torch_dtype: torch.dtype | None = None,  # what diffusers calls it when it loads a pipeline
        **options,  # other options of a pipeline's loading, which are for large models
    ) -> "ClassEmbedder":
        """Load what `save_pretrained` wrote, in evaluation mode, and in float32 unless a type is given."""
        folder = Path(folder, subfolder or "")
        model = cls.from_config(cls.load_config(folder))
        weights = load_file(folder / cls.WEIGHTS)
        dtype = dtype or torch_dtype or torch.float32
        model.load_state_dict({key: value.to(dtype) for key, value in weights.items()}, assign=True)
        return model.eval()


class LDMClassPipeline(DiffusionPipeline):
    """Sample images of given classes with a latent diffusion model whose first stage has a codebook.

    Args:
        unet: predicts the noise from (latents, timestep, context).
        vqvae: the first stage.
        class_embedder: makes the context of a label.
        scheduler: DDIM or DPM-Solver++, with the betas of the training.
    """

    model_cpu_offload_seq = "class_embedder->unet->vqvae"

    def __init__(
        self,
        unet: UNet2DConditionModel,
        vqvae: VQModel,
        class_embedder: ClassEmbedder,
        scheduler: DDIMScheduler | DPMSolverMultistepScheduler,
    ):
        super().__init__()
        self.register_modules(unet=unet, vqvae=vqvae, class_embedder=class_embedder, scheduler=scheduler)
        self.image_processor = VaeImageProcessor(vae_scale_factor=2 ** (len(vqvae.config.block_out_channels) - 1))

    @property
    def num_classes(self) -> int:
        """Number of classes; as a label of the embedding, the unconditional one."""
        return self.class_embedder.config.num_embeddings - 1

    @torch.no_grad()
    def __call__(
        self,
        class_labels: int | Sequence[int] | torch.Tensor,
        guidance_scale: float = 1.5,
        num_inference_steps: int = 250,
        eta: float = 0.0,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: torch.Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: Callable[["LDMClassPipeline", int, torch.Tensor, dict], dict] | None = None,
    ) -> ImagePipelineOutput | tuple:
        """Sample one image for each label. The defaults are those of the paper's Table 1.

        Args:
            class_labels: from 0, B of them (or one).
            guidance_scale: 1 is no guidance, and needs half the work.
            num_inference_steps: S. As in CompVis's DDIM, every (1000 // S)-th timestep is taken, which are more than S
                where S does not divide 1000. DPM-Solver++ takes S, those that its scheduler chooses.
            eta: of DDIM: 0 is deterministic, 1 is DDPM.
            generator: draws the initial noise, and the noise of the steps where eta > 0.
            latents: initial noise instead, shape (B, C, H, W).
            output_type: "pil", "np" (float32 in [0, 1], shape (B, H, W, C)), "pt" or "latent" (shape (B, C, h, w)).
            return_dict: whether to return an ImagePipelineOutput or a tuple.
            callback_on_step_end: called with (pipeline, step, timestep, {"latents": latents}) after each step; what it
                returns as "latents" takes their place.

        Raises:
            DeepCacheError: if a label, the number of steps, the latents' shape or the output type is none that can be,
                or eta is not 0 with another scheduler than DDIM.
        """
        ddim = isinstance(self.scheduler, DDIMScheduler)
        if not ddim and eta != 0:
            raise DeepCacheError(f"eta must be 0 with {type(self.scheduler).__name__}, not {eta}")
        if output_type not in ("pil", "np", "pt", "latent"):
            raise DeepCacheError(f"output_type must be pil, np, pt or latent, not {output_type!r}")
        labels = self._labels(class_labels)
        guided = guidance_scale != 1
        context = self._context(labels, guided)
        timesteps, numbers = self._set_timesteps(num_inference_steps)
        latents = self._initial_latents(len(labels), generator, latents)
        options = {"eta": eta, "generator": generator} if ddim else {}
        for step, (t, number) in enumerate(zip(self.progress_bar(timesteps), numbers, strict=True)):
            noise = self._predict_noise(self.scheduler.scale_model_input(latents, t), t, context, guidance_scale)
            latents = self.scheduler.step(noise, number, latents, **options).prev_sample
            if callback_on_step_end is not None:
                latents = callback_on_step_end(self, step, t, {"latents": latents})["latents"]
        images = latents
        if output_type != "latent":
            images = self.image_processor.postprocess(self.decode(latents), output_type=output_type)
        self.maybe_free_model_hooks()
        return ImagePipelineOutput(images=images) if return_dict else (images,)

    def _labels(self, class_labels: int | Sequence[int] | torch.Tensor) -> torch.Tensor:
        labels = torch.as_tensor(class_labels).reshape(-1)
        whole = labels.numel() > 0 and not labels.is_floating_point() and labels.dtype != torch.bool
        if not whole or labels.min() < 0 or labels.max() >= self.num_classes:
            raise DeepCacheError(f"class_labels must be integers from 0 to {self.num_classes - 1}, not {class_labels}")
        return labels.to(self._execution_device, torch.int64)

    def _context(self, labels: torch.Tensor, guided: bool) -> torch.Tensor:
        """Context of the unconditional half and then of the labels, shape (2B, 1, D); without guidance, (B, 1, D)."""
        if guided:
            labels = torch.cat([torch.full_like(labels, self.num_classes), labels])
        return self.class_embedder(labels).to(self.unet.dtype)

    def choose_timesteps(self, num_steps: int) -> torch.Tensor:
        """DDIM's timesteps, noisiest first, int64.

        The scheduler's own choice stops after `num_steps` of them; CompVis's goes on to the end of the training's.
        Both step down by the same stride, which is all that the scheduler's `step` needs to know.
        """
        trained = self.scheduler.config.num_train_timesteps
        if isinstance(num_steps, bool) or not isinstance(num_steps, int) or not 1 <= num_steps <= trained:
            raise DeepCacheError(f"num_inference_steps must be an integer from 1 to {trained}, not {num_steps!r}")
        timesteps = torch.arange(0, trained, trained // num_steps).flip(0) + self.scheduler.config.steps_offset
        if timesteps[0] >= trained:
            raise DeepCacheError(
                f"num_inference_steps {num_steps}: the first timestep would be {timesteps[0]}, beyond the last one of "
                f"the training, {trained - 1}: choose another number, such as 250"
            )
        return timesteps

    def _set_timesteps(self, num_steps: int) -> tuple[torch.Tensor, Sequence]:
        """Timesteps for the U-Net, and as the scheduler's `step` takes them: DDIM's looks them up on the host."""
        timesteps = self.choose_timesteps(num_steps) if isinstance(self.scheduler, DDIMScheduler) else None
        self.scheduler.set_timesteps(num_steps, device=self._execution_device)
        if timesteps is None:
            return self.scheduler.timesteps, self.scheduler.timesteps
        self.scheduler.timesteps = timesteps.to(self._execution_device)
        return self.scheduler.timesteps, timesteps.tolist()

    def _initial_latents(
        self, batch: int, generator: torch.Generator | list[torch.Generator] | None, latents: torch.Tensor | None
    ) -> torch.Tensor:
        config = self.unet.config
        device, dtype = self._execution_device, self.unet.dtype
        if latents is None:
            shape = (batch, config.in_channels, config.sample_size, config.sample_size)
            latents = randn_tensor(shape, generator=generator, device=device, dtype=dtype)
        elif latents.ndim != 4 or tuple(latents.shape[:2]) != (batch, config.in_channels):
            expected = f"({batch}, {config.in_channels}, H, W)"
            raise DeepCacheError(f"latents must have shape {expected}, not {tuple(latents.shape)}")
        return latents.to(device, dtype) * self.scheduler.init_noise_sigma

    def _predict_noise(self, x: torch.Tensor, t: torch.Tensor, context: torch.Tensor, scale: float) -> torch.Tensor:
        """Noise in x, shape (B, C, H, W), with guidance if the context has two halves (Ho and Salimans 2022)."""
        if len(context) == len(x):
            return self.unet(x, t, encoder_hidden_states=context).sample
        unconditional, conditional = self.unet(torch.cat([x, x]), t, encoder_hidden_states=context).sample.chunk(2)
        return unconditional + scale * (conditional - unconditional)

    def decode(self, latents: torch.Tensor, quantise: bool = True) -> torch.Tensor:
        """Images of latents, shape (B, C, h, w), from about -1 to 1, shape (B, 3, H, W).

        Args:
            latents: as output_type "latent" returns them.
            quantise: whether each becomes the nearest entry of the codebook, as the decoder was trained.
        """
        latents = latents.to(self.vqvae.dtype) / self.vqvae.config.scaling_factor
        return self.vqvae.decode(latents, force_not_quantize=not quantise).sample
