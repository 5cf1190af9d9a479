"""Measure how well images fit their prompts: the CLIP score.

The images are those of a run, in which image j was made from prompt j, counted round the list where there are fewer, or
those of a folder, in the order of their names (00000.png, 00001.png, ...), one for each prompt.
"""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Score each image against its prompt; write the mean and all scores."""
    from itertools import cycle, islice

    import numpy as np
    import torch

    from deepcache.data.datasets import batches
    from deepcache.data.formats.folder import Folder
    from deepcache.devices import choose_device
    from deepcache.errors import DeepCacheError
    from deepcache.files import write_json
    from deepcache.models.checkpoints import open_checkpoint
    from deepcache.progress import progress
    from deepcache.provenance import provenance
    from deepcache.quality.clip_score import load_clip, open_prompts
    from deepcache.sampling.shards import read_run, read_sidecar

    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    prompts, about = open_prompts(arguments.prompts)
    if arguments.run is not None:
        run = read_sidecar(arguments.run)
        painted = run.get("settings", {}).get("prompts")
        if painted not in (None, about["fingerprint"]):
            raise DeepCacheError(f"{arguments.run} was made from other prompts than those of {arguments.prompts}")
        count, images = run["images"], (image for shard in read_run(arguments.run) for image in shard)
        origin = {"run": str(arguments.run), "settings_hash": run["settings_hash"]}
    else:
        folder = Folder(arguments.images)
        count, images = len(folder), folder.read()
        if count != len(prompts):
            raise DeepCacheError(
                f"{arguments.images} holds {count} images, but {arguments.prompts} {len(prompts)} prompts: "
                "there must be one image for each prompt"
            )
        origin = {"folder": str(arguments.images)}
    place = arguments.weights
    place, weights = (place, {"folder": str(place)}) if place.is_dir() else open_checkpoint(place)
    clip = load_clip(place, device, arguments.precision)
    images, prompt = progress(images, "CLIP score", unit="image", total=count), cycle(prompts)
    found = [clip.scores(batch, list(islice(prompt, len(batch)))) for batch in batches(images, arguments.batch_size)]
    scores = np.concatenate(found)
    write_json(
        arguments.output,
        {
            "clip_score": float(scores.mean()),
            "scores": scores.round(6).tolist(),
            "images": count,
            "prompts": about,
            **origin,
            "weights": weights,
            "precision": arguments.precision,
            **provenance(device),
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
    parser.add_argument("--output", required=True, type=Path, metavar="JSON")
    cli.run(main, parser)
