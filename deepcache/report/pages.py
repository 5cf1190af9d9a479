"""A page of the report: Markdown as one HTML file that asks for nothing else."""

import html
import re
import string

STYLE = """
body { font: 14px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #1f2933; margin: 1.5rem; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.1rem; }
p { max-width: 75em; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 1.2rem 0; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #d9e2ec; white-space: nowrap; text-align: left; }
th { background: #f0f4f8; position: sticky; top: 0; z-index: 1; }
th:first-child, td:first-child { position: sticky; left: 0; background: #f0f4f8; }
th:first-child { z-index: 2; }
td:last-child { white-space: normal; min-width: 5rem; }
tr:hover td { background: #e6f0fa; }
pre { background: #f0f4f8; padding: 1rem; overflow-x: auto; }
"""


def page(title: str, markdown: str) -> str:
    """An HTML page.

    Args:
        title: of the window.
        markdown: CommonMark with pipe tables; HTML in it is shown, not obeyed.
    """
    from markdown_it import MarkdownIt

    # A link to another file leads nowhere from within the report.
    markdown = re.sub(r"!?\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", markdown)
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )


def plain(text: str) -> str:
    """Markdown that shows a text as it is: words of others, such as a processor's name."""
    return re.sub(f"([{re.escape(string.punctuation)}])", r"\\\1", text)
