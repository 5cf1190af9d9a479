"""Download a file (--url) or a Hugging Face repository at a pinned commit (--repository), checked and resumable."""

from deepcache import cli


def main(arguments) -> None:
    """Check that the options belong together, and download."""
    from deepcache.errors import DeepCacheError

    if arguments.url is not None:
        if arguments.revision is not None or arguments.include is not None:
            raise DeepCacheError("--revision and --include belong to --repository, not to --url")
        from deepcache.data.download import download

        download(arguments.url, arguments.output, arguments.sha256)
        return
    if arguments.revision is None:
        raise DeepCacheError("--repository needs --revision, the commit to download")
    if arguments.sha256 is not None:
        raise DeepCacheError("--sha256 belongs to --url, not to --repository: a commit names its own checksums")
    from deepcache.data.hub import download_repository

    download_repository(arguments.repository, arguments.revision, arguments.output, arguments.include)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--url", help="address of a file")
    source.add_argument("--repository", metavar="OWNER/NAME", help="repository on the Hugging Face hub")
    parser.add_argument("--sha256", metavar="DIGEST", help="with --url: what the file must have")
    parser.add_argument("--revision", metavar="COMMIT", help="with --repository: 40 hexadecimal digits")
    parser.add_argument("--include", nargs="+", metavar="PATTERN", help="with --repository: only files that match one")
    parser.add_argument(
        "--output", required=True, type=cli.output_folder, metavar="PATH", help="the file, or the folder, to write"
    )
    cli.run(main, parser)
