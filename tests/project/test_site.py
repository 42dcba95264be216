"""The parts of the site's generator and of its checks; the whole is built and checked by `make docs-check`."""

import inspect
import json
import pkgutil
import re
from importlib import import_module

import click
import griffe
import pytest

import hardsight as hs
from hardsight.cli import main
from website import commands, formulas, links, reference, reference_pages, sources
from website.docstrings import Roles, Shapes

PAGE = '<html><body id="top"><a href="{link}">x</a><img src="../picture.svg">{more}</body></html>'


@pytest.fixture
def site(tmp_path):
    """A site of two pages that link to each other; called, it makes the second one anew and checks."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "search").mkdir()
    (tmp_path / "picture.svg").touch()
    (tmp_path / "index.html").write_text('<p id="here"><a href="sub/#top">sub</a> <a href="https://example.org">out</a></p>')

    def check(link="../#here", more="", place="sub/#top"):
        (tmp_path / "sub" / "index.html").write_text(PAGE.format(link=link, more=more))
        (tmp_path / "search" / "search_index.json").write_text(json.dumps({"docs": [{"location": place}]}))
        return links.check(tmp_path)

    return check


def test_a_whole_site_has_no_faults(site, tmp_path, capsys):
    found = site()
    assert found.faults == []
    assert found.counts == {"pages": 2, "links": 3, "anchors": 2, "search": 1}
    assert dict(found.outside) == {"https://example.org": 1}
    assert links.main(tmp_path) == 0
    assert "2 pages, 3 links within the site, 2 of them to anchors, 1 places in the search" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("planted", "message"),
    [
        ({"link": "../gone/"}, "../gone/ leads nowhere"),
        ({"link": "../#gone"}, "../#gone names no place of index.html"),
        ({"place": "sub/#gone"}, "sub/#gone names no place"),
        ({"more": '<p id="top"></p>'}, "the id 'top' appears twice"),
        ({"more": '<script src="https://cdn.example/a.js"></script>'}, "fetches https://cdn.example/a.js"),
        ({"more": '<link rel="stylesheet" href="//fonts.example/a">'}, "fetches //fonts.example/a"),
        ({"more": "<style>@import 'https://fonts.example/b';</style>"}, "fetches https://fonts.example/b"),
        ({"more": '<img srcset="a.png 1x, https://example.org/b.png 2x">'}, "fetches https://example.org/b.png"),
    ],
)
def test_planted_faults_are_found(site, tmp_path, planted, message, capsys):
    assert any(message in fault for fault in site(**planted).faults)
    assert links.main(tmp_path) == 1
    assert message in capsys.readouterr().err


def public(package):
    """What a package names as public."""
    known = vars(package)
    names = known.get("__all__") or [name for name in known if name[0] != "_" and not inspect.ismodule(known[name])]
    return {f"{package.__name__}.{name}": getattr(package, name) for name in names}


def test_every_public_name_is_documented():
    documented = set(reference_pages.documented())
    names = {
        path.rpartition(".")[::2] for page in reference_pages.PAGES if page.name != "integrations" for path in page.names
    }
    objects = {id(getattr(import_module(module), name)) for module, name in names}
    named = {f"hs.{name}": getattr(hs, name) for name in hs.__all__}
    modules = {name: each for name, each in named.items() if inspect.ismodule(each)}
    assert {each.__name__ for each in modules.values()} <= documented
    assert {f"hs.{name}" for name in reference_pages._WITHIN} == set(modules)
    named = {name: each for name, each in named.items() if name not in modules}
    for found in pkgutil.walk_packages(hs.__path__, "hardsight."):
        # Commands have pages of their own; modules of integrations are listed one by one.
        if found.ispkg and not found.name.startswith(("hardsight.cli", "hardsight.integrations")):
            package = import_module(found.name)
            named |= public(package) if hasattr(package, "__all__") else {}
    missing = [name for name, each in named.items() if id(each) not in objects]
    assert not missing
    assert len(named) > 180


def test_pages_of_the_reference_hold_their_names():
    pages = dict(reference.pages())
    for page in reference_pages.PAGES:
        for path in page.names:
            assert f"::: {path}\n" in pages[page.source]
            assert page.name == "schemes" or f"[{path}]" in pages["reference/index.md"]
    assert all(f'**Scheme "{name}"**' in pages["reference/schemes.md"] for name in hs.SCHEMES)
    assert all(f"\n### {name} " in pages["reference/measures.md"] for name in hs.MEASURES)


def test_pages_of_commands_hold_every_option():
    pages = dict(commands.pages())

    def look(command, names):
        context = click.Context(command)
        below = command.list_commands(context) if isinstance(command, click.Group) else []
        page = pages[f"commands/{'/'.join([*names, 'index' if below else '']).strip('/')}.md"]
        assert page.startswith(" ".join(["# hardsight", *names]))
        for option in command.params:
            assert all(f"{name}" in page for name in option.opts if name[0] == "-")
            assert (
                option.param_type_name == "option"
                or option.make_metavar(command.make_context("", [], resilient_parsing=True)) in page
            )
        return 1 + sum(look(command.get_command(context, name), [*names, name]) for name in below)

    assert look(main, []) == len(pages)
    assert re.search(r"\| `--folds INTEGER` \| Folds per repeat\. \| 5 \|", pages["commands/measure.md"])


def test_links_of_the_repository_become_links_of_the_site():
    text = "[a](../benchmarks/speed.md#x) ![b](images/report.png) [c](#here) [d](https://e.org) [e](../Makefile)\n"
    fenced = "```md\n[a](../benchmarks/gone.md)\n```\n"
    there = "[a](studies/speed.md#x) ![b](images/report.png) [c](#here) [d](https://e.org) [e](source/Makefile.md)\n"
    assert sources.fix_links(text + fenced, "docs/review.md", "review.md") == there + fenced
    assert sources.fix_links("[a](docs/review.md)", "CHANGELOG.md", "changelog.md") == "[a](review.md)"
    assert sources.fix_links("[a](speed.md)", "benchmarks/README.md", "studies/index.md") == "[a](speed.md)"
    with pytest.raises(FileNotFoundError, match=r"docs/review.md links to docs/gone.md"):
        sources.fix_links("[a](gone.md)", "docs/review.md", "review.md")


def test_formulas_need_no_script():
    html = formulas.rendered(
        r'<p><span class="arithmatex">\(\log \bar p &lt; 1\)</span></p><div class="arithmatex">\[x\]</div>'
    )
    assert html.count("<math") == 2
    assert "arithmatex" not in html
    assert html.count('display="block"') == 1
    assert "&#x0003C;" in html


SHAPED = """
from jaxtyping import Float
def f(a: "Tensor", b: Float[Tensor, " sample"]) -> Float[Tensor, "sample class"]: ...
"""


def test_shapes_are_shown_as_written():
    with griffe.temporary_visited_module(SHAPED, extensions=griffe.load_extensions(Shapes())) as module:
        assert str(module["f"].parameters["b"].annotation) == 'Float[Tensor, "sample"]'
        assert str(module["f"].returns) == 'Float[Tensor, "sample class"]'
        assert str(module["f"].parameters["a"].annotation) == "Tensor"


DESCRIBED = '''
class A:
    """See :meth:`f` and :func:`torch.exp`::

        f()

    Attributes:
        a, b: two.
    """

    def f(self):
        """F.

        >>> 1
        1
        """
'''


def test_docstrings_become_markdown(monkeypatch):
    with griffe.temporary_visited_module(DESCRIBED) as module:
        roles = Roles()
        monkeypatch.setattr(roles, "_known", {"module.A"})
        roles.on_object(obj=module["A"])
        roles.on_object(obj=module["A.f"])
        assert module["A"].docstring.value == (
            "See [`f`][module.A.f] and `torch.exp`:\n\n    f()\n\nAttributes:\n    a,\N{NO-BREAK SPACE}b: two."
        )
        assert module["A.f"].docstring.value == "F.\n\n```pycon\n>>> 1\n1\n```"
