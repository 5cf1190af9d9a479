"""Count the MACs of a checkpoint's U-Net: one full pass, and the shallow passes of some branches."""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Count at batch 1 and write G MACs."""
    from deepcache.cost.macs import branches_macs
    from deepcache.files import write_json
    from deepcache.models.checkpoints import open_checkpoint
    from deepcache.models.dummy_inputs import dummy_inputs
    from deepcache.sampling.families import bare_unet

    folder, manifest = open_checkpoint(arguments.checkpoint)
    unet, tokens = bare_unet(folder)
    full, shallow = branches_macs(unet, arguments.branches, dummy_inputs(unet, 1, None, unet.device, tokens=tokens))
    write_json(arguments.output, {"checkpoint": manifest["name"], "full_g": full, "shallow_g": shallow})


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path, metavar="JSON", help="the checkpoint's manifest")
    parser.add_argument("--branches", type=cli.natural, nargs="*", default=[], metavar="B", help="from 0")
    parser.add_argument("--output", required=True, type=cli.output_file(), metavar="JSON")
    cli.run(main, parser)
