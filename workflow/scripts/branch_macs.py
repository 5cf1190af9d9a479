"""Count what the shallow pass of every branch costs on the paper's architectures (Figure 4); no weights are needed.

Writes a CSV file and draws it.
"""

from deepcache import cli

TITLE = "MACs of a full pass and of the shallow pass of each skip branch"


def main(arguments) -> None:
    """Count, write, draw."""
    import pandas as pd

    from deepcache.caching.branches import num_branches
    from deepcache.cost.macs import branches_macs
    from deepcache.figures.branches import BranchCosts, draw_branches
    from deepcache.figures.style import save
    from deepcache.files import atomic
    from deepcache.models.dummy_inputs import dummy_inputs
    from deepcache.models.paper import CACHED
    from deepcache.progress import progress

    models, rows = [], []
    for name, one in progress(CACHED.items(), "branches", unit="model"):
        unet = one.build()
        branches = list(range(num_branches(unet)))
        full, shallow = branches_macs(unet, branches, dummy_inputs(unet, 1, None, unet.device, tokens=one.tokens))
        models.append(BranchCosts(name, full, [shallow[branch] for branch in branches], one.branch))
        rows += [
            {"model": name, "branch": branch, "skip_branch": branch + 1, "full_g": full, "shallow_g": shallow[branch]}
            for branch in branches
        ]
    with atomic(arguments.output) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)
    save(draw_branches(TITLE, models), arguments.figure)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--output", required=True, type=cli.output_file(), metavar="CSV")
    parser.add_argument("--figure", required=True, type=cli.figure_file, metavar="PNG")
    cli.run(main, parser)
