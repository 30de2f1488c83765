"""The page's modules put together: what is refused, and that lines and names stay."""

import json
import re
from pathlib import Path, PurePosixPath

import pytest
from starlette.testclient import TestClient

import relook.server
from relook.mcp.app_window import SCRIPT
from relook.server.page_files import PageFiles
from relook.serving.one_script import OneScript, read

STATIC = Path(relook.server.__file__).with_name("static")
MAIN = PurePosixPath("js/main.js")


def together(sources: dict[str, str]) -> OneScript:
    return OneScript(MAIN, read=lambda path: sources[path.stem])


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ('import "./host.js";\n', "import"),
        ("export default 3;\n", "export"),
        ('const later = () => import("./host.js");\n', "import("),
        ("const here = import.meta.url;\n", "import.meta"),
        ("await 3;\n", "await"),
        ('const end = "</script>";\n', "</script"),
        ("export let changing = 1;\n", "export"),
    ],
)
def test_a_module_that_cannot_be_put_in_is_refused(source: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        _ = together({"main": source}).text


def test_a_circle_of_modules_is_refused() -> None:
    sources = {"main": 'import { a } from "./api.js";\n', "api": 'import { b } from "./main.js";\n'}
    with pytest.raises(ValueError, match="imports itself"):
        _ = together(sources).text


def test_a_module_runs_once_after_those_that_it_imports() -> None:
    script = together(
        {
            "main": '/** Both. */\nimport * as a from "./a.js";\nimport {\n  two as b,\n'
            '} from "./b.js";\na.one(b);\n',
            "a": 'import { two } from "./b.js";\nexport const one = (n) => n + two;\n',
            "b": "// Counts.\nexport const two = 2;\nexport async function three() {}\n",
        }
    )
    assert script.text == (
        '"use strict";\n'
        "const $js_b = (() => {\n\nconst two = 2;\nasync function three() {}\n"
        "return { two, three };\n})();\n"
        "const $js_a = (() => {\nconst { two } = $js_b;\nconst one = (n) => n + two;\n"
        "return { one };\n})();\n"
        "const $js_main = (() => {\n\nconst a = $js_a;\nconst {\n  two: b,\n} = $js_b;\na.one(b);\n"
        "return {  };\n})();\n"
    )
    assert script.exports == "export { $js_b as b, $js_a as a, $js_main as main };\n"


def test_another_module_takes_the_place_of_one() -> None:
    sources = {"main": 'import { a } from "./api.js";\n', "other": "export const a = 1;\n"}
    instead = {PurePosixPath("js/api.js"): PurePosixPath("js/other.js")}
    script = OneScript(MAIN, instead, lambda path: sources[path.stem])
    assert "const { a } = $js_other;" in script.text


def test_the_window_of_agents_can_be_put_together() -> None:
    assert "$server_static_js_tile" in SCRIPT.text
    assert "EventSource" not in SCRIPT.text


def test_the_map_leads_each_line_to_its_own() -> None:
    script = OneScript(MAIN, read=lambda path: (STATIC / path).read_text("utf-8"))
    lines = script.text.split("\n")
    known = script.source_map(lambda path: f"/static/{path}")
    assert known["version"] == 3
    n_same = 0
    for section in known["sections"]:
        first, each = section["offset"]["line"], section["map"]
        (source,) = each["sources"]
        assert re.fullmatch(r"AAAA(;AACA)*", each["mappings"])  # a line to a line
        wanted = (STATIC / source.removeprefix("/static/")).read_text("utf-8").split("\n")[:-1]
        mapped = lines[first : first + each["mappings"].count(";") + 1]
        assert len(mapped) == len(wanted)
        assert lines[first - 1].endswith("= (() => {")
        assert lines[first + len(mapped)].startswith("return {")
        n_same += sum(a == b.removeprefix("export ") for a, b in zip(mapped, wanted, strict=True))
    assert n_same > 0.85 * len(lines)  # the rest are comments and imports


def test_each_page_asks_for_one_script_and_one_style_sheet() -> None:
    http = TestClient(PageFiles(STATIC, "/static"))

    def sent(address: str) -> str:
        answer = http.get(address)
        assert answer.status_code == 200
        return answer.text

    modules = set[str]()
    for page in STATIC.glob("*.html"):
        html = sent(f"/static/{page.name}")
        (code,) = re.findall(r'<script type="module" src="([^"]+)"></script>', html)
        (style,) = re.findall(r'<link rel="stylesheet" href="([^"]+)">', html)
        styles = re.findall(r'rel="stylesheet" href="/static/([^"]+)"', page.read_text("utf-8"))
        assert sent(style) == "".join((STATIC / each).read_text("utf-8") for each in styles)
        script = sent(code)
        known = json.loads(sent("/static/" + script.rpartition("sourceMappingURL=")[2].strip()))
        sources = [each["map"]["sources"][0] for each in known["sections"]]
        assert all(sent(source) for source in sources)  # as browsers' tools ask for them
        modules |= {source.removeprefix("/static/js/") for source in sources}
    assert modules == {path.name for path in (STATIC / "js").iterdir()}  # none is left unused


def test_what_the_package_holds_is_read() -> None:
    assert read(PurePosixPath("server/static/js/dom.js")).startswith("/** ")
