"""Whether the U-Net writes into the feature that is cached: only then it has to be copied."""

import torch

from deepcache.errors import DeepCacheError


class Writes:
    """Watches the feature during the passes; use it as a context around each.

    FreeU writes into the features it scales. Whether the U-Net does such a thing is seen in the first full pass, for
    which the feature is copied to be safe; from then on it is copied if so, and only watched if not. A copy moves as
    many bytes as an operation of the shallow pass, of which there are few.
    """

    def __init__(self):
        self._copying: bool | None = None  # None: not known yet
        self._watched: torch.Tensor | None = None
        self._version = 0

    def kept(self, feature: torch.Tensor) -> torch.Tensor:
        """Of a full pass: what is as now when the pass has ended, a copy or the feature itself."""
        if self._copying is None and _can_be_watched(feature):
            self._watch(feature)
            return feature.clone()
        return self.given(feature)

    def given(self, feature: torch.Tensor) -> torch.Tensor:
        """Of a shallow pass: what it may have, so that the feature is as now when the pass has ended."""
        if self._copying is not False or not _can_be_watched(feature):
            return feature.clone()
        self._watch(feature)
        return feature

    def _watch(self, feature: torch.Tensor) -> None:
        # What is detached counts the writes into the feature as well; without its data it keeps no memory alive.
        self._watched = feature.detach()
        self._watched.data = feature.new_empty(0)
        self._version = feature._version

    def __enter__(self) -> "Writes":
        return self

    def __exit__(self, kind, *exception) -> None:
        """Compare.

        Raises:
            DeepCacheError: if this pass wrote into the feature, and the first one did not.
        """
        watched, self._watched = self._watched, None
        if watched is None or kind is not None:
            return
        written = watched._version != self._version
        if written and self._copying is False:
            raise DeepCacheError(
                "something writes into the cached feature and did not when caching was enabled: enable FreeU and the "
                "like before DeepCache"
            )
        self._copying = written


def _can_be_watched(feature: torch.Tensor) -> bool:
    """Of inference mode's tensors torch counts no versions; a part of a larger tensor would keep all of it alive."""
    return not feature.is_inference() and feature.untyped_storage().nbytes() == feature.nbytes
