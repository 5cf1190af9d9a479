"""Check that a run's shards belong together and write the run's sidecar: settings, origin, checksums."""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Read every shard, refuse a mixture, write run.json."""
    from deepcache.files import sha256, write_json
    from deepcache.sampling.shards import read_shards

    about = [one for _, one in read_shards(arguments.shards, arguments.images)]
    made = [one["made"] for one in about]
    write_json(
        arguments.output,
        {
            "images": arguments.images,
            "settings": about[0]["settings"],
            "settings_hash": about[0]["settings_hash"],
            "weights": made[0]["weights"],
            "sampling_seconds": round(sum(one["seconds"] for one in made), 3),
            "batch_sizes": sorted({size for one in made for size in one["batch_sizes"]}, reverse=True),
            "devices": sorted({one["device"] for one in made}),
            "executions": sorted({one["execution"] for one in made}),
            "tf32": sorted({kind for one in made for kind in one.get("tf32", [])}),
            "versions": made[0]["versions"],
            "commits": sorted({str(one["commit"]) for one in made}),
            "shards": {path.name: sha256(path) for path in arguments.shards},
        },
    )


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--shards", required=True, type=Path, nargs="+", metavar="NPZ", help="in order, from shard 0")
    parser.add_argument("--images", required=True, type=cli.positive, help="number of images that the run stands for")
    parser.add_argument("--output", required=True, type=cli.output_file(), metavar="JSON")
    cli.run(main, parser)
