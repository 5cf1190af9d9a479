"""Export the two passes of a Stable Diffusion or SDXL checkpoint's U-Net, for other runtimes than PyTorch.

OUTPUT gets `full` and `shallow`, as ONNX or torch.export's programs, and export.json, which says what they take. The
full pass returns the cached feature beside its output, the shallow one takes it. They are exported in single precision
on the CPU, compared with the U-Net itself, and timed beside it. `generate.py --exported OUTPUT` samples with them.
"""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Load, export, compare, time."""
    import torch

    from deepcache.export.pipelines import export_pipeline
    from deepcache.generation.checkpoints import find_checkpoint, load_pipeline
    from deepcache.progress import progress

    torch.set_num_threads(arguments.threads)
    folder, _ = find_checkpoint(arguments.checkpoint)
    pipeline = load_pipeline(folder, "text-to-image", "cpu", torch.float32)
    size = {name: value for name in ("height", "width") if (value := getattr(arguments, name)) is not None}
    how = arguments.branch, arguments.output, arguments.runtime, arguments.batch_size
    with progress(None, f"export of {folder.name}", unit="part") as bar:
        found = export_pipeline(
            pipeline, *how, bar.set_description_str, guidance_scale=arguments.guidance_scale, **size
        )
    for name, (own, exported) in found.seconds.items():
        print(
            f"{name}: {exported * 1e3:.3g} ms, PyTorch {own * 1e3:.3g} ms; differs by at most "
            f"{found.difference[name]:.1e} of the largest value"
        )
    print(f"feature: differs by at most {found.difference['feature']:.1e}")


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path, help="a folder in diffusers' format, or a manifest")
    parser.add_argument("--branch", type=cli.natural, default=0, help="where the U-Net is cut, from 0")
    parser.add_argument("--runtime", choices=["onnx", "torch"], default="onnx", help="what is to run them")
    parser.add_argument("--batch-size", type=cli.positive, default=1, help="images at a time, which is settled then")
    parser.add_argument(
        "--guidance-scale", type=cli.number, default=7.5, help="above 1 the U-Net's batch is twice that"
    )
    parser.add_argument("--height", type=cli.positive, help="in pixels (the checkpoint's where not given)")
    parser.add_argument("--width", type=cli.positive, help="likewise")
    parser.add_argument("--threads", type=cli.positive, default=1, help="CPU threads")
    parser.add_argument("--output", required=True, type=cli.output_folder, metavar="DIR")
    cli.run(main, parser)
