"""Every program that takes --device, with options under which it is quick, and where it may wait for the device."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from deepcache.caching.plan import Plan
from deepcache.cost.macs import branch_macs
from deepcache.models.dummy_inputs import dummy_inputs
from deepcache.sampling.shards import settings_hash, write_shard
from tests.devices.checkpoints import pixel_unet, write_checkpoints

SIDE, IMAGES, BATCH = 16, 8, 4
BATCHES = IMAGES // BATCH

# Where the host may wait: how often at most, and for each of what. There is no wait for each step, but for the one kind
# of schedule that decides by what it sees. "weights": each tensor of a model that is loaded, "block": of distances.
WAITS: dict[str, tuple[int, str]] = {
    "deepcache.sampling.pixel_ddpm:PixelDDPM.__init__": (1, "weights"),
    "deepcache.sampling.latent_class:LatentClass.__init__": (1, "weights"),
    "deepcache.sampling.text_to_image:TextToImage.__init__": (1, "weights"),
    "deepcache.sampling.image_to_video:ImageToVideo.__init__": (1, "weights"),
    "deepcache.generation.checkpoints:load_pipeline": (1, "weights"),
    "deepcache.caching.fingerprint:fingerprint": (1, "weights"),
    "deepcache.quality.extractors:load_extractor": (1, "weights"),
    "deepcache.quality.perceptual:load_perceptual": (1, "weights"),
    "deepcache.quality.clip_score:load_clip": (1, "weights"),
    "deepcache.quality.clip_score:EmojiScorer.__init__": (1, "weights"),
    # Noise, labels, prompts and timesteps are sent, once for all steps.
    "deepcache.sampling.pixel_ddpm:PixelDDPM.make_latents": (1, "trajectory"),
    "deepcache.sampling.ddim:ddim": (1, "trajectory"),
    "deepcache.sampling.dpm_solver:dpm_solver": (1, "trajectory"),
    "deepcache.models.ldm_pipeline:LDMClassPipeline._labels": (1, "trajectory"),
    "deepcache.models.ldm_pipeline:LDMClassPipeline._set_timesteps": (2, "trajectory"),
    "deepcache.models.ldm_pipeline:LDMClassPipeline._initial_latents": (1, "trajectory"),
    "deepcache.models.ldm_pipeline:LDMClassPipeline.__call__": (2, "trajectory"),  # DPM-Solver++ finds its first step
    "deepcache.caching.align_your_steps:AlignYourSteps.set_timesteps": (1, "trajectory"),
    "deepcache.caching.schedulers:_reading_on_host.OnHost.set_timesteps": (1, "trajectory"),
    # Causal masks of CLIP, and as above.
    "deepcache.sampling.pipeline_model:PipelineModel.make_latents": (8, "trajectory"),
    "deepcache.sampling.image_to_video:ImageToVideo.make_latents": (14, "trajectory"),
    "deepcache.generation.generation:Generation._run": (20, "trajectory"),  # pictures and masks, too
    # Images are fetched when they are finished.
    "deepcache.sampling.batches:_fetch": (1, "trajectory"),
    "deepcache.sampling.model:ImageModel.sample": (1, "trajectory"),
    # What was summed over trajectories is fetched in the end.
    "deepcache.quality.feature_similarity:FeatureSimilarity._finish": (1, "trajectory"),
    "deepcache.quality.feature_similarity:FeatureSimilarity.matrix": (1, "job"),
    "deepcache.beyond.calibration.gram:FeatureGram.add": (1, "trajectory"),
    "deepcache.beyond.calibration.adjoint:Adjoint.products": (1, "trajectory"),
    "deepcache.beyond.calibration.recording:_record_batch": (1, "trajectory"),
    "deepcache.sampling.unrounded:sample_pixels": (1, "trajectory"),
    "deepcache.sampling.unrounded:sample_unrounded": (2, "trajectory"),
    "deepcache.cost.latency:make_variants": (1, "job"),
    # A clock is read when the device is done.
    "deepcache.cost.timing:_synchronise": (2, "run"),
    "deepcache.cost.profiled:profiled": (1, "run"),
    "deepcache.cost.attention_backends:time_backends": (9, "run"),  # once for each shape
    "deepcache.cost.attention_backends:time_backends.<genexpr>": (3, "run"),
    # Batches of images are sent, and their features fetched.
    "deepcache.quality.extractors:load_extractor.features": (5, "batch"),
    "deepcache.quality.clean:clean_resize": (2, "batch"),
    "deepcache.quality.perceptual:Perceptual._distances": (3, "batch"),
    "deepcache.quality.clip_score:Scorer.scores": (2, "batch"),
    "deepcache.quality.clip_score:Clip.see": (1, "batch"),
    "deepcache.quality.clip_score:EmojiScorer.see": (1, "batch"),
    "deepcache.models.emoji_clip:EmojiClip.encode_text": (1, "batch"),  # sentences that are new
    "deepcache.quality.clip_score:Clip.read": (1, "batch"),
    "deepcache.quality.precision_recall:load": (2, "block"),
    "deepcache.quality.precision_recall:_radii": (2, "block"),
    "deepcache.quality.precision_recall:_mark_inside": (6, "block"),
    # A schedule that is decided while it samples reads what it decides by.
    "deepcache.beyond.caching.online:relative_change": (1, "decision"),
    "deepcache.beyond.caching.stability:mean_change": (1, "decision"),
}
COUNTED = ("job", "trajectory", "batch")  # the others are as many as they are


@dataclass(frozen=True)
class Program:
    """A call of a program.

    Attributes:
        script: in workflow/scripts.
        options: but for --device, in a folder that `write_inputs` has filled, for so many steps of the sampler.
        inner: functions on the device, one for each part of it.
        batches: of images that are measured.
        exact: whether all that it computes is free of TF32.
        suffix: of what it writes.
    """

    script: str
    options: Callable[[Path, int], list]
    inner: tuple[str, ...]
    batches: int = 0
    exact: bool = False
    suffix: str = ".npz"


UNET = "diffusers.models.unets.unet_2d:UNet2DModel.forward"
TEXT_UNET = "diffusers.models.unets.unet_2d_condition:UNet2DConditionModel.forward"
FIRST_STAGE = "diffusers.models.autoencoders.autoencoder_kl:AutoencoderKL.decode"
INCEPTION = "torch_fidelity.feature_extractor_inceptionv3:BasicConv2d.forward"
EFFICIENTNET = "deepcache.models.efficientnet:EfficientNetLite0.stages"
CLASSIFIER = "deepcache.models.classifier:DigitsClassifier.features"


def sampling(folder: Path, steps: int, model: str = "pixel", sampler: str = "ddim-{}") -> list:
    return ["--checkpoint", folder / f"{model}.json", "--sampler", sampler.format(steps)]


def macs_of_pixel() -> float:
    """G MACs of a pass."""
    unet = pixel_unet()
    return branch_macs(unet, 0, dummy_inputs(unet, 1, None, "cpu"))[0]


def extractor(folder: Path) -> list:
    return ["--extractor", "digits-classifier", "--weights", folder / "digits-classifier.json"]


def scoring(folder: Path) -> list:
    weights = ["--extractor-weights", folder / "digits-classifier.json"]
    reference = ["--reference", folder / "reference.npz", "--extractor", "digits-classifier"]
    return ["--name", "pixel", "--seeds", 0, "--images", 2, *reference, *weights]


def sweep(folder: Path, steps: int) -> list:
    recorded = ["--recorded", folder / f"recorded-{steps}.npz", "--plan", folder / f"plan-{steps}.json"]
    eq7 = ["--centers", 0.5, "--powers", 1.2]
    return [*sampling(folder, steps), *scoring(folder), "--interval", 3, "--screened", 1, *recorded, *eq7]


def budget(folder: Path, steps: int) -> list:
    quick = ["--speeds", 1.3, "--repeats", 1, "--batch-size", 1, "--minutes", 1e-6]
    return [*sampling(folder, 2 * steps), *scoring(folder), *quick]


def run(folder: Path, name: str) -> Path:
    return folder / f"runs/sd/ddim-4/{name}/run.json"


def measured(folder: Path) -> list:
    return ["--run", run(folder, "uniform-n2-b0/seed-0"), "--batch-size", BATCH]


def generated(*inputs: str) -> Callable[[Path, int], list]:
    def options(folder: Path, steps: int) -> list:
        fixed = ["--checkpoint", folder / "sd", "--prompts", folder / "two.txt", "--cache-interval", 2]
        given = [option if option.startswith("--") else folder / option for option in inputs]
        return [*fixed, "--steps", steps, "--strength" if given else "--batch-size", 1, *given]

    return options


PROGRAMS: dict[str, Program] = {
    "sample": Program(
        "sample.py",
        lambda folder, steps: [*sampling(folder, steps), "--method", "uniform-n2-b0", "--shard-size", 2],
        (UNET,),
    ),
    "feature_similarity": Program(
        "feature_similarity.py",
        lambda folder, steps: [*sampling(folder, steps), "--images", 2, "--layer", "up_blocks.0"],
        (UNET, "deepcache.quality.feature_similarity:FeatureSimilarity._observe"),
    ),
    "memory": Program(
        "memory.py", lambda folder, steps: [*sampling(folder, steps), "--branches", 0, "--batch-size", 1], (UNET,)
    ),
    "time_models": Program(
        "time_models.py",
        lambda folder, steps: [
            *("--checkpoints", f"pixel={folder / 'pixel.json'}", "--batch-size", 1, "--repeats", 1),
            *("--variants", f"pixel/ddim-{steps}/full", f"pixel/ddim-{steps}/uniform-n2-b0"),
        ],
        (UNET,),
    ),
    "latency": Program(
        "latency.py",
        lambda folder, steps: [
            *("--models", "pixel", "--batches", 1, "--intervals", 2, "--steps", steps, "--repeats", 1),
            *("--no-plugin", "--reuses", "hold", "forecast1", "--operations", folder / "operations.csv"),
        ],
        (UNET,),
    ),
    "attention_backends": Program(
        "attention_backends.py",
        lambda folder, steps: ["--images", 1, "--tokens", 16, "--repeats", 1],
        ("deepcache.cost.attention_backends:_call",),
    ),
    "generate": Program("generate.py", generated(), (TEXT_UNET, FIRST_STAGE)),
    "image-to-image": Program("generate.py", generated("--images", "pictures"), (TEXT_UNET, FIRST_STAGE)),
    "inpainting": Program(
        "generate.py", generated("--images", "pictures", "--masks", "pictures"), (TEXT_UNET, FIRST_STAGE)
    ),
    "record_features": Program(
        "beyond/record_features.py",
        lambda folder, steps: [*sampling(folder, steps), "--images", 2, "--batch-size", 1, "--probes", 1],
        (UNET, "deepcache.beyond.calibration.gram:FeatureGram.add"),
    ),
    "calibrate": Program(
        "beyond/calibrate.py",
        lambda folder, steps: [
            *sampling(folder, steps),
            *("--method", "chosen-n3-b0", "--recorded", folder / f"recorded-{steps}.npz"),
            *("--images", 2, "--screened", 1),
        ],
        (UNET, "deepcache.caching.weighted:Weighted.observe"),
    ),
    "tune": Program(
        "tune.py",
        lambda folder, steps: [
            *("--checkpoint", folder / "pixel.json", "--steps", 8, "--macs", 5 * macs_of_pixel()),
            *("--minutes", 1e-6, "--execution", "eager"),
        ],
        (UNET,),
        suffix=".json",
    ),
    "sweep": Program(
        "beyond/sweep.py", sweep, (UNET, CLASSIFIER, "deepcache.beyond.calibration.affine:ChannelMoments.add")
    ),
    "budget": Program("beyond/budget.py", budget, (UNET, CLASSIFIER), suffix=".json"),
    "forecast_cost": Program(
        "beyond/forecast_cost.py",
        lambda folder, steps: ["--repeats", 1],
        ("deepcache.beyond.caching.forecast:Forecast.observe",),
    ),
    "reference_statistics": Program(
        "reference_statistics.py",
        lambda folder, steps: [
            *("--dataset", folder / "digits.json", "--images", IMAGES, "--image-size", SIDE, "--batch-size", BATCH),
            *(*extractor(folder), "--partial", folder / "partial"),
        ],
        (CLASSIFIER,),
        BATCHES,
        exact=True,
    ),
    **{
        f"reference_statistics {kind}": Program(
            "reference_statistics.py",
            lambda folder, steps, kind=kind, weights=weights: [
                *("--dataset", folder / "digits.json", "--images", 2, "--image-size", SIDE, "--batch-size", 2),
                *("--extractor", kind, "--weights", folder / f"{weights}.json", "--partial", folder / f"of-{kind}"),
            ],
            (inner,),
            1,
            exact=True,
        )
        for kind, weights, inner in (
            ("inception-adm", "inception", INCEPTION),
            ("inception-pytorch-fid", "inception", INCEPTION),
            ("efficientnet-lite0", "efficientnet-lite0", EFFICIENTNET),
        )
    },
    "metrics": Program(
        "metrics.py",
        lambda folder, steps: [
            *(*measured(folder), "--reference", folder / "reference.npz", *extractor(folder)),
            *("--features", folder / "features.npz"),
        ],
        (CLASSIFIER, "deepcache.quality.precision_recall:_lower_bounds"),
        BATCHES,
        exact=True,
    ),
    "paired_fidelity": Program(
        "paired_fidelity.py",
        lambda folder, steps: [
            *(*measured(folder), "--baseline", run(folder, "full/seed-0")),
            *("--perceptual", folder / "digits-classifier.json"),
        ],
        (CLASSIFIER,),
        BATCHES,
        exact=True,
    ),
    **{
        f"paired_fidelity {name}": Program(
            "paired_fidelity.py",
            lambda folder, steps, name=name: [
                *(*measured(folder), "--baseline", run(folder, "full/seed-0")),
                *("--perceptual", folder / f"{name}.json"),
            ],
            (inner,),
            BATCHES,
            exact=True,
        )
        for name, inner in (("lpips-alexnet", "lpips:LPIPS.forward"), ("efficientnet-lite0", EFFICIENTNET))
    },
    **{
        f"clip_score {name}": Program(
            "clip_score.py",
            lambda folder, steps, name=name: [
                *(*measured(folder), "--prompts", folder / "prompts.json", "--weights", folder / f"{name}.json")
            ],
            inner,
            BATCHES,
            exact=True,
        )
        for name, inner in (
            ("digits-clip", ("open_clip.model:CLIP.encode_image", "open_clip.model:CLIP.encode_text")),
            ("emoji-clip", ("deepcache.models.emoji_clip:EmojiClip.embed_features",)),
        )
    },
    "diversity": Program(
        "diversity.py",
        lambda folder, steps: [
            *("--runs", *(run(folder, f"full/seed-{seed}") for seed in (0, 1)), "--batch-size", BATCH),
            *("--clip-scores", *(folder / f"clip-{seed}.json" for seed in (0, 1))),
            *("--perceptual", folder / "digits-classifier.json"),
        ],
        (CLASSIFIER,),
        BATCHES,
        exact=True,
    ),
}
STEPS = (4, 6)  # of a sampler: waits must be as many


def write_inputs(folder: Path, call: Callable[..., int]) -> None:
    """What the programs read, made by the programs before them on the CPU."""
    write_checkpoints(folder)
    (folder / "two.txt").write_text("a seven\nthree\n", encoding="utf-8")
    settings = {"prompts": json.loads((folder / "prompts.json").read_text(encoding="utf-8"))["fingerprint"]}
    numbers = np.random.default_rng(0)
    for name in ("full/seed-0", "full/seed-1", "uniform-n2-b0/seed-0"):
        images = numbers.integers(0, 256, (IMAGES, SIDE, SIDE, 1), dtype=np.uint8)
        write_shard(run(folder, name).parent / "shards/00000.npz", images, settings, {})
        sidecar = {"images": IMAGES, "settings": settings, "settings_hash": settings_hash(settings), "weights": "x"}
        run(folder, name).write_text(
            json.dumps({**sidecar, "shards": {"00000.npz": ""}, "devices": ["x"]}), encoding="utf-8"
        )
    (folder / "pictures").mkdir()
    for index in range(2):
        Image.fromarray(numbers.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(
            folder / f"pictures/{index}.png"
        )

    def made(name: str, output: str, steps: int = 4, *options) -> None:
        program = PROGRAMS[name]
        where = ("--device", "cpu", "--output", folder / output)
        assert call(program.script, *program.options(folder, steps), *where, *options) == 0

    made("generate", "generated")  # at its first loading transformers notes what the machine has, for good
    made("reference_statistics", "reference.npz")
    for seed in (0, 1):
        made("clip_score digits-clip", f"clip-{seed}.json", 4, "--run", run(folder, f"full/seed-{seed}"))
    for steps in STEPS:
        made("record_features", f"recorded-{steps}.npz", steps)
        plan(folder, steps).save(folder / f"plan-{steps}.json")


def plan(folder: Path, steps: int) -> Plan:
    """Two full steps, and after them features of both."""
    weights = {step: {0: 0.25, 1: 0.75} for step in range(2, steps)}
    manifest = json.loads((folder / "pixel.json").read_text(encoding="utf-8"))
    picked = {"steps": "uniform", "prediction": "fitted1"}
    sampler = f"ddim-{steps}"
    return Plan("pixel", manifest["sha256"], "", sampler, steps, 0, "float32", (0, 1), weights, calibration=picked)
