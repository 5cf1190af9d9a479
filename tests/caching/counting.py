"""A hook that counts."""

from accelerate.hooks import ModelHook


class Counting(ModelHook):
    """A hook of accelerate's kind that counts, and that changes arguments and output as offloading does."""

    def __init__(self):
        self.before = self.after = 0

    def pre_forward(self, module, *args, **kwargs):
        self.before += 1
        return args, kwargs

    def post_forward(self, module, output):
        self.after += 1
        return output
