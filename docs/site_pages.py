"""What the site has besides the pages in docs/; a hook of mkdocs.

The README, the results and the conventions stay where GitHub shows them and
become pages, with their pictures. Links that lead from one to another, or out
of docs/, are followed; those to other files of the repository become plain
text. The API has a page for each package, written from the docstrings. A page
that loads anything from another host fails the build.
"""

import ast
import itertools
import os
import re
from pathlib import Path

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
DOCS = Path(__file__).parent.name
PAGES = {
    "README.md": "index.md",
    "reproductions/README.md": "results.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""{file of the repository: page of the site}."""
LINK = re.compile(
    r"(?P<text>!?\[[^]]*\])\((?P<path>[^)\s:#]+)(?P<rest>[^)]*)\)"
)
LOADED = re.compile(r'<(?:script|img|iframe|link)\b[^>]*(?:src|href)="https?:')
PACKAGES = ("keras_pose", "tfrecords", "reproductions")
COMMANDS = "keras_pose commands"


def on_config(config):
    """Navigation: pages in docs/ that it does not list, then the API."""
    listed = str(config.nav)
    more = sorted(path.name for path in (ROOT / DOCS).glob("*.md"))
    more = [name for name in more if f"'{name}'" not in listed]
    pages = [
        {name.removeprefix("keras_pose."): _uri(name)} for name in _modules()
    ]
    rest = [{"More": more}] if more else []
    config.nav = [*config.nav, *rest, {"API": ["api/index.md", *pages]}]
    return config


def on_files(files, config):
    """Adds the pages from outside of docs/ and those of the API."""
    pictures = sorted((ROOT / "reproductions").rglob("*.png"))
    outside = PAGES | {
        str(path.relative_to(ROOT)): str(
            path.relative_to(ROOT / "reproductions")
        )
        for path in pictures
    }
    for source, uri in outside.items():
        _add(files, config, uri, abs_src_path=str(ROOT / source))
    for name, modules in _modules().items():
        text = f"# {name}\n\n" + "\n".join(map(_described, modules))
        _add(files, config, _uri(name), content=text)
    return files


def on_page_markdown(markdown, page, files, **_):
    """Links as the site has them."""
    uri = page.file.src_uri
    source = {page: file for file, page in PAGES.items()}.get(uri)
    folder = Path(source or f"{DOCS}/{uri}").parent

    def follow(link):
        path = Path(os.path.normpath(folder / link["path"]))
        target = PAGES.get(str(path))
        if target is None and path.parts[0] in (DOCS, "reproductions"):
            target = "/".join(path.parts[1:])
        if target is None or not files.get_file_from_path(target):
            if (ROOT / path).exists():  # not part of the site
                return link["text"].strip("[]")
            return link[0]  # mkdocs says what is wrong with it
        target = os.path.relpath(target, os.path.dirname(uri) or ".")
        return f"{link['text']}({target}{link['rest']})"

    return LINK.sub(follow, markdown)


def on_post_page(output, page, **_):
    """Refuses a page that needs a network."""
    loaded = LOADED.search(output)
    if loaded:
        raise PluginError(f"{page.file.src_uri} loads {loaded[0]}...")


def _add(files, config, uri, **content):
    files.append(File.generated(config, uri, **content))


def _uri(name):
    return f"api/{name.replace(' ', '-')}.md"


def _modules():
    """{title of a page: files of its modules}."""
    pages = {"keras_pose": [], COMMANDS: []}
    for top in PACKAGES:
        for path in sorted((ROOT / top).rglob("*.py")):
            title = ".".join(path.relative_to(ROOT).parent.parts)
            if title == "keras_pose" and '"__main__"' in path.read_text():
                title = COMMANDS
            pages.setdefault(title, []).append(path)
    return pages


def _described(path):
    """Markdown of one module: its docstring and all it has for others."""
    tree = ast.parse(path.read_text())
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    name = name.removesuffix(".__init__")
    text = ast.get_docstring(tree) or ""
    if re.search(r"^\S.*?  +\S|^ {4}", text, re.MULTILINE):  # columns
        text = f"```text\n{text}\n```"
    names = []
    for node, after in itertools.pairwise([*tree.body, None]):
        told = isinstance(after, ast.Expr) and isinstance(node, ast.Assign)
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.append(node.name)
        elif told and isinstance(node.targets[0], ast.Name):
            names.append(node.targets[0].id)
    members = "\n\n".join(
        f"::: {name}.{member}" for member in names if member[0] != "_"
    )
    typed = name.removesuffix(".__main__")
    title = f"`{typed}` {{ data-toc-label='{typed.rpartition('.')[2]}' }}"
    return f"## {title}\n\n{text}\n\n{members}\n"
