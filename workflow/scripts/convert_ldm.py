"""Convert CompVis's LDM-4-G checkpoint to diffusers' format.

Writes the folders unet, vqvae, class_embedder and scheduler and model_index.json, which
deepcache.models.ldm_pipeline.LDMClassPipeline.from_pretrained loads. No code in the checkpoint is run.
"""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Convert; the folder appears only when everything is in it."""
    import torch

    from deepcache.files import atomic, check_replaceable
    from deepcache.models.ldm import load_compvis

    output = arguments.output.resolve()
    check_replaceable(output, "model_index.json")
    dtype = {"fp32": torch.float32, "fp16": torch.float16}[arguments.dtype]
    pipeline = load_compvis(arguments.checkpoint, dtype, arguments.latent_size)
    with atomic(output) as folder:
        pipeline.save_pretrained(folder)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument(
        "--checkpoint", required=True, type=Path, metavar="F.ckpt", help="Lightning checkpoint or a state dict"
    )
    parser.add_argument(
        "--output", required=True, type=cli.output_folder, metavar="DIR", help="folder for the converted model"
    )
    parser.add_argument("--dtype", choices=["fp32", "fp16"], default="fp32", help="type of the weights")
    parser.add_argument(
        "--latent-size",
        type=cli.positive,
        default=64,
        metavar="N",
        help="height and width of the latents, not in the file",
    )
    cli.run(main, parser)
