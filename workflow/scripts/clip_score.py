"""Measure how well images fit their prompts: the CLIP score.

The images are those of a run, in which image j was made from prompt j, counted round the list where there are fewer, or
those of a folder, in the order of the numbers in their names (00000.png, 00001.png, ...), one for each prompt.
"""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Score each image against its prompt; write the mean and all scores."""
    import torch

    from deepcache.devices import choose_device
    from deepcache.files import write_json
    from deepcache.models.checkpoints import open_weights
    from deepcache.provenance import provenance
    from deepcache.quality.clip_score import load_clip, score_images
    from deepcache.quality.prompted_images import open_prompted_folder, open_prompted_run, open_prompts

    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    prompts, about = open_prompts(arguments.prompts)
    if arguments.run is not None:
        images = open_prompted_run(arguments.run, about)
        origin = {"run": str(arguments.run), "settings_hash": images.sidecar["settings_hash"]}
    else:
        images = open_prompted_folder(arguments.images, about, prompts)
        origin = {"folder": str(arguments.images)}
    folder, weights = open_weights(arguments.weights)
    scores = score_images(load_clip(folder, device, arguments.precision), images, prompts, arguments.batch_size)
    write_json(
        arguments.output,
        {
            "clip_score": float(scores.mean()),
            "scores": scores.round(6).tolist(),
            "images": images.count,
            "prompts": about,
            **origin,
            "weights": weights,
            "precision": arguments.precision,
            **provenance(device, measured_exactly=True),
        },
    )


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", type=Path, metavar="JSON", help="the run's sidecar, run.json")
    source.add_argument("--images", type=Path, metavar="DIR", help="a folder of images, without loss (PNG)")
    parser.add_argument(
        "--prompts", required=True, type=Path, metavar="FILE", help="manifest of the prompts, or .tsv, .json, .txt"
    )
    parser.add_argument(
        "--weights", required=True, type=Path, metavar="JSON", help="manifest of the CLIP model, or its folder"
    )
    parser.add_argument("--precision", default="float32", choices=["float32", "float16", "bfloat16"])
    parser.add_argument("--batch-size", type=cli.positive, default=32, help="images at a time")
    cli.add_device_options(parser)
    parser.add_argument("--output", required=True, type=cli.output_file(), metavar="JSON")
    cli.run(main, parser)
