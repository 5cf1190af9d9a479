"""Measure what a forecast costs beside a shallow pass, on the paper's architectures with random weights.

Batch 1, which guidance doubles; the skip branches that the paper uses.
"""

from deepcache import cli

GUIDED = ("ldm4g-imagenet", "sd-v1-5")


def main(arguments) -> None:
    """Measure, and write a row for each architecture."""
    import pandas as pd
    import torch

    from deepcache.beyond.comparison.forecast_cost import measure_forecast_cost
    from deepcache.devices import choose_device
    from deepcache.files import atomic
    from deepcache.models.dummy_inputs import dummy_inputs
    from deepcache.models.paper import CACHED
    from deepcache.precision import tf32
    from deepcache.progress import progress
    from deepcache.provenance import device_name

    torch.set_num_threads(arguments.threads)
    device, rows = choose_device(arguments.device), []
    for name, one in progress(CACHED.items(), "forecasts", unit="model"):
        unet, batch = one.build(), 2 if name in GUIDED else 1
        cost = measure_forecast_cost(
            unet,
            one.branch,
            lambda place, unet=unet, batch=batch, one=one: dummy_inputs(unet, batch, None, place, tokens=one.tokens),
            device,
            arguments.repeats,
        )
        row = {"model": name, "branch": one.branch, "batch": batch, "feature": "x".join(map(str, cost.shape))}
        row |= {"bytes_hold": cost.bytes[0], "shallow_seconds": cost.shallow.median}
        for order in cost.forecasts:
            row[f"bytes_forecast{order}"] = cost.bytes[order]
            row[f"forecast{order}_seconds"] = cost.forecasts[order].median
            row[f"forecast{order}_percent"] = 100 * cost.share(order)
        where = {"device": device_name(device), "tf32": " ".join(tf32(device)) or "none"}
        rows.append({**row, **where, "threads": torch.get_num_threads()})
    with atomic(arguments.output) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--repeats", type=cli.positive, default=5, help="timed repetitions after a warm-up")
    cli.add_device_options(parser)
    parser.add_argument("--output", required=True, type=cli.output_file(), metavar="CSV")
    cli.run(main, parser)
