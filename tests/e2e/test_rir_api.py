"""A program written for the old package runs with only its import changed, in a real browser."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from relook.rag.consent import Consent
from relook.testing.chat_server import KEY, chat_server, say
from relook.testing.web_server import Reply, serving

# The calls that the old package's own example makes; its README's further ones below.
EXAMPLE = """
from relook import rir_api
import os

if __name__ == "__main__":

    openai_api_key = os.getenv("OPENAI_API_KEY")
    api = rir_api.RIR_API(openai_api_key)
    image_url = os.environ["IMAGE_URL"]
    query_text = "What is in this image?"
    response = api.query_with_image(image_url, query_text, delay=3, show_result=True)
    print(response)
    response = api.query_with_image(image_url, query_text)
    response = api.query_with_image(image_url, output_path="results", headless=True)
    print(response.choices[0].message.content)
"""
# The same question again, in a process of its own.
AGAIN = """
import os
from relook import rir_api
api = rir_api.RIR_API(os.getenv("OPENAI_API_KEY"))
response = api.query_with_image(os.environ["IMAGE_URL"], "What is in this image?")
print(response.choices[0].message.content)
"""
RESULTS = """<!doctype html><title>Google Search</title><h2>Visual matches</h2>
<div><a href="https://fractals.example/julia">
  <div role="heading">Julia set, rendered</div></a></div>
<div><a href="https://maths.example/sets"><div role="heading">Sets in the plane</div></a></div>"""


def test_the_old_example_runs_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELOOK_CONFIG", str(tmp_path / "config"))
    Consent().allow("lens-browser")  # the picture's address is on this machine only
    page = Reply(RESULTS.encode(), headers={"Content-Type": "text/html; charset=utf-8"})
    picture = Path(__file__).parents[2] / "docs" / "page.png"
    with serving() as site, chat_server(say("A Julia set.")) as chat:
        site.replies["/fractal.png"] = Reply(picture.read_bytes())
        site.replies["/v3/upload"] = site.replies["/uploadbyurl"] = page
        env = {
            **os.environ, "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": chat.url,
            "RELOOK_LENS_URL": site.address, "IMAGE_URL": f"{site.address}/fractal.png",
            "RELOOK_CACHE": str(tmp_path / "cache"), "HOME": str(tmp_path), "BROWSER": "true",
        }  # fmt: skip
        n_asked = 0
        for program, n_calls in ((EXAMPLE, 3), (AGAIN, 1)):  # no run answers the next one
            n_asked += n_calls
            done = subprocess.run(
                [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, env=env,
                capture_output=True, text=True, timeout=600, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert "A Julia set." in done.stdout.split("\n")[0]
            assert done.stdout.rstrip().endswith("A Julia set.")
            assert KEY not in done.stdout + done.stderr
            assert [len(chat.pictures(number)) for number in range(n_asked)] == [2] * n_asked
            assert sum("upload" in path for path in site.paths()) == n_asked
    told = json.loads((tmp_path / "results" / "api_gpt4v_result.json").read_text())
    titles = [item["title"] for item in told["relook"]["evidence"]["items"]]
    assert titles == ["Julia set, rendered", "Sets in the plane"]
    assert (tmp_path / "results" / "search_results.png").read_bytes().startswith(b"\x89PNG")
