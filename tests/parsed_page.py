"""A page as a browser would read it, and text that tries to become more than text."""

from html.parser import HTMLParser

HOSTILE = (
    "<script>alert(1)</script> <img src=x onerror=alert(1)> <img src=https://evil.example/p.png>"
    "<svg onload=alert(1)></svg><iframe src='https://evil.example/'></iframe><a href='https://evil.example/'>a</a>"
    "<form action='https://evil.example/'><input autofocus onfocus=alert(1)></form><b style='color:red' onclick=f()>b</b>"
    "<style>@import 'https://evil.example/s.css'</style><meta http-equiv=refresh content='0;url=https://evil.example/'>"
    "<base href='https://evil.example/'><link rel=stylesheet href='https://evil.example/s.css'><object data=x></object>"
)


class Page(HTMLParser):
    """Every tag with its attributes, and the text between tags."""

    def __init__(self, markup: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.open: list[str] = []
        self.words: list[tuple[str, str]] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        self.text += data
        self.words += [(tag, data) for tag in self.open]

    def names(self) -> set[str]:
        return {tag for tag, _ in self.tags}

    def links(self) -> list[str]:
        return [attributes["href"] for tag, attributes in self.tags if tag == "a"]

    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.tags if "id" in attributes]

    def inside(self, tag: str) -> str:
        return " ".join(" ".join(words for name, words in self.words if name == tag).split())


ACTIVE = {"script", "iframe", "object", "embed", "form", "input", "button", "base", "link", "svg", "math", "template"}


def assert_inert(markup: str) -> None:
    """No script, handler, frame or form, and no address but one within the page or beside it."""
    page = Page(markup)
    assert not page.names() & ACTIVE
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        for name, value in attributes.items():
            if name in ("src", "srcset", "data", "action", "formaction", "poster", "background", "xlink:href"):
                assert (tag, name) == ("img", "src"), (tag, attributes)
                assert value.startswith("data:image/"), (tag, attributes)
            if name == "href":
                assert tag == "a", (tag, attributes)
                path = value.partition("#")[0]
                assert not path or path.endswith(".html") and ":" not in path, (tag, attributes)
            assert "evil" not in (value or ""), (tag, attributes)
