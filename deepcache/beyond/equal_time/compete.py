"""A contest into a file, with progress, killed and resumed."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch

from deepcache.beyond.comparison.compared import Comparison
from deepcache.beyond.equal_time.contest import Asked, Contest
from deepcache.beyond.tuning.kept import Kept
from deepcache.files import write_json
from deepcache.progress import progress
from deepcache.provenance import device_name, provenance
from deepcache.quality.partial import Partial
from deepcache.sampling.request import Request


def compete(
    request: Request,
    picking: Request,
    asked: Asked,
    comparison: Comparison,
    scored_by: Mapping,
    output: Path,
    about: Mapping,
) -> None:
    """A model's contest, with progress, into a file; `<name>.partial.npz` keeps what an unfinished one found out.

    Args:
        request: the model.
        picking: the same with the prompts on which settings are picked.
        asked: what is compared.
        comparison: what is measured of the images.
        scored_by: what tells that from other comparisons.
        output: JSON with what `Contest.run` returns.
        about: what the file says besides.
    """
    name = request.manifest["name"]
    key = {**asdict(asked), "usual": asked.usual.slug, "sha256": request.manifest["sha256"]}
    key |= {"prompts": request.prompts and request.prompts.fingerprint, "precision": request.precision}
    key |= {"picked_on": picking.prompts and picking.prompts.fingerprint}
    key |= {"scored_by": dict(scored_by), "device": device_name(request.device), "threads": torch.get_num_threads()}
    partial = Partial.beside(output, key)
    with progress(None, name, unit="way") as bar:
        reports = bar.set_description_str, bar.update
        found = Contest(request.model, picking.model, asked, comparison, request.device, Kept(partial), *reports).run()
    write_json(output, {**about, **found, **provenance(request.device)})
    partial.discard()
