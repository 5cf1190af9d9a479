"""The one exception that means "the input is at fault"."""


class DeepCacheError(ValueError):
    """Bad input from the user: a config key, a file, an argument or a model.

    The message is one line that names the key or the file and says what to do. Command-line programs print it without
    a traceback and exit with status 1.
    """
