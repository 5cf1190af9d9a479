"""Other schedules, and other tensors in place of the skipped feature, than the paper's."""
