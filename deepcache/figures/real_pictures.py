"""Samples beside the real pictures of their prompts."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from deepcache.figures.style import plt, set_title
from deepcache.quality.intervals import paired_over_images

COLUMNS = 8  # pairs in a row
WORDS = 18  # characters in a line below a pair


@dataclass(frozen=True)
class Scores:
    """How well pictures fit their prompts, 0 to 100: of each prompt the real one's score, and the sample's."""

    real: Sequence[float]
    sampled: Sequence[float]

    def summary(self) -> dict[str, float]:
        """Both means, the samples' as a share of the real ones', and the 95 % interval of the difference.

        Raises:
            DeepCacheError: as from `paired_over_images`.
        """
        change = paired_over_images(list(self.sampled), list(self.real))
        real, sampled = float(np.mean(self.real)), float(np.mean(self.sampled))
        return {
            "score_real": real,
            "score_sampled": sampled,
            "share_of_real": sampled / real,
            "change": change.value,
            "change_low": change.low,
            "change_high": change.high,
            "pictures": len(self.real),
        }


def draw_beside(title: str, samples: np.ndarray, real: np.ndarray, prompts: Sequence[str], scores: Scores) -> Figure:
    """Pairs of a real picture, left, and the sample of its prompt, which stands below with the sample's score.

    Args:
        title: above; the mean scores of all prompts are added.
        samples: uint8, shape (n, H, W, 3): the first n prompts are drawn.
        real: uint8, shape (N, H, W, 3).
        prompts: N texts; of `a noto emoji of owl`, what follows `of` is written.
        scores: of all N.
    """
    rows = -(-len(samples) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(1.35 * COLUMNS, 1.05 * rows + 0.7), squeeze=False)
    gap = np.full((samples.shape[1], 2, 3), 255, np.uint8)
    for place in axes.flat:
        place.axis("off")
    for place, one, other, prompt, score in zip(axes.flat, real, samples, prompts, scores.sampled, strict=False):
        place.imshow(np.concatenate([one, gap, other], axis=1), interpolation="nearest")
        words = textwrap.wrap(prompt.partition(" of ")[2] or prompt, WORDS, max_lines=2, placeholder=" ...")
        below = {"transform": place.transAxes, "ha": "center", "va": "top", "fontsize": 7}
        place.text(0.5, -0.06, "\n".join([*words, f"{score:.0f}"]), **below)
    found = scores.summary()
    line = f"score {found['score_sampled']:.1f} of samples, {found['score_real']:.1f} of real pictures"
    set_title(figure, f"{title}: left real, right sampled; {line}, over {found['pictures']} prompts")
    figure.subplots_adjust(left=0.01, right=0.99, top=1 - 0.55 / figure.get_figheight(), bottom=0.06, hspace=0.75)
    return figure
