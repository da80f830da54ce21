"""What people see of the package in Prefect's UI, in a real browser on a real server.

`make screenshots` writes the pictures of the documentation with it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from cognition.adapters.embedded import EmbeddedServers
from cognition_blocks import CachedLLM
from cognition_blocks.budget_events import EXCEEDED
from cognition_flows.automations import NOTIFY, PAUSE, WARM
from tests.acceptance.ui_seed import API_KEY
from tests.browser import Browser, browser
from tests.conftest import execute, url_of
from tests.prefect_server import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # the first test waits for the servers and for the seed

BLOCKS = ("Cached LLM", "Cognition Store", "LLM Budget")


@pytest.fixture(scope="module")
def site(real_server: str, servers: EmbeddedServers, template: str) -> Generator[str]:
    """Return the address of a server on which a team has worked for a while."""
    name = f"ui_{uuid4().hex}"
    execute(servers, f"CREATE DATABASE {name} TEMPLATE {template}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {
        "PREFECT_API_URL": f"{real_server}/api",
        "SEED_DATABASE_URL": url_of(servers, name),
        "SEED_REDIS_URL": str(servers.redis_url),
    }
    command = [sys.executable, "-m", "tests.acceptance.ui_seed"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    yield real_server
    execute(servers, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def window(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Browser]:
    """Return a browser on that server; where there is no browser, the server is not started."""
    pictures = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    with browser(tmp_path_factory.mktemp("browser"), pictures) as opened:
        opened.site = request.getfixturevalue("site")
        yield opened


def asked(site: str, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the server's API answers."""
    return httpx.post(f"{site}/api/{path}", json=body, timeout=30).raise_for_status().json()


def open_artifact(window: Browser, key: str) -> None:
    """Go to the newest artifact of a key, by way of the list of all that have it."""
    window.open(f"/v2/artifacts/key/{key}", f"Created {key}")
    window.click("//main//a[contains(@href, '/artifacts/artifact/')]")
    window.wait_for("Show Raw Data")


def test_the_catalogue_offers_our_blocks(window: Browser) -> None:
    """With a description of each, nobody having registered them by hand."""
    window.open("/v2/blocks/catalog", *BLOCKS)
    for words in ("Asks a language model, answers repeated prompts", "PostgreSQL and Redis for", "Limits what a"):
        assert words in window.text
    for name in BLOCKS:
        assert window.find(f"//h4[text()='{name}']/preceding-sibling::img").size["width"]
    window.open("/v2/blocks/catalog/cached-llm", "Cached LLM")


def test_the_form_of_a_model(window: Browser) -> None:
    """Plain controls: numbers, a choice, a picker of stores, a masked key; an editor for free settings alone."""
    window.open("/v2/blocks/catalog/cached-llm/create", "More model settings", "Select a block...")
    assert "password" == window.control("API key").get_attribute("type")
    assert "number" == window.control("Temperature").get_attribute("type")
    assert "listbox" == window.control("Similar prompts").get_attribute("aria-haspopup")
    assert "default" == window.control("Namespace").get_attribute("value")
    assert 'Property is type "None"' not in window.text
    assert 1 == window.count(".cm-editor")
    titles = [title for title in window.text.splitlines() if title.endswith("(Optional)")]
    assert ("Model (Optional)", "More model settings (Optional)") == (titles[0], titles[-1])


def test_the_form_of_a_budget(window: Browser) -> None:
    """Choices are chosen, numbers are numbers, nothing asks for JSON, and only the limit is not optional."""
    window.open("/v2/blocks/catalog/llm-budget/create", "Cheaper model", "Select a block...")
    choices = ("Scope", "Period", "Beyond the soft limit", "At the limit", "Unknown prices", "While PostgreSQL is away")
    assert {"listbox"} == {window.control(title).get_attribute("aria-haspopup") for title in choices}
    assert "0.8" == window.control("Soft limit").get_attribute("value")
    assert 0 == window.count(".cm-editor")
    assert 'Property is type "None"' not in window.text
    assert {"Limit (US dollars)", "Soft limit (Optional)"} <= set(window.text.splitlines())


def test_a_model_that_is_saved_in_the_form_is_the_one_that_was_meant(window: Browser, site: str) -> None:
    """What was left empty is the default, and the store is the one that was picked."""
    window.open("/v2/blocks/catalog/cached-llm/create", "More model settings", "Select a block...")
    window.control("Name").send_keys("by-hand")
    window.control("Model").send_keys("openai-chat:gpt-5-mini")
    window.control("API key").send_keys("sk-by-hand")
    window.control("Temperature").send_keys("0.5")
    window.click("//button[contains(., 'Select a block...')]")
    window.click("//*[@role='option'][contains(., 'production')]")
    window.screenshot("model-form", 1100)
    window.click("//button[text()='Save']")
    window.wait_for('CachedLLM.load("by-hand")')

    wanted = {"block_documents": {"name": {"any_": ["by-hand"]}}, "include_secrets": True}
    (document,) = asked(site, "block_documents/filter", wanted)
    saved = CachedLLM.model_validate(document["data"])
    assert saved.store is not None
    plain = CachedLLM(model_name="openai-chat:gpt-5-mini", temperature=0.5, api_key=saved.api_key, store=saved.store)
    assert plain.to_config() == saved.to_config()
    assert {"production"} == {one["block_document"]["name"] for one in document["block_document_references"].values()}


def test_a_saved_model_keeps_its_secrets(window: Browser) -> None:
    """The page shows how to use it, its values, and neither its key nor the passwords of its store."""
    window.open("/v2/blocks", "support-long")
    window.click("//a[normalize-space()='support']")
    window.wait_for('CachedLLM.load("support")')
    assert "********" in window.text
    assert API_KEY not in window.source
    assert "postgresql" not in window.source


def test_the_hit_rate(window: Browser) -> None:
    """A picture and tables, not their source."""
    open_artifact(window, "cognition-hit-rate")
    assert [True] == window.pictures()
    assert 4 == window.count("main table")
    assert "|" not in window.text
    window.screenshot("hit-rate")


def test_the_costs(window: Browser) -> None:
    """Two pictures, and a table for each cut."""
    open_artifact(window, "cognition-costs")
    assert [True, True] == window.pictures()
    assert 8 == window.count("main table")
    assert "|" not in window.text
    window.screenshot("costs")


def test_the_budgets(window: Browser) -> None:
    """Each with what is left and when it is used up; the one that is nearly spent is drawn first."""
    open_artifact(window, "cognition-budgets")
    for words in ("daily budget of workflow untamed-loop", "weekly budget of team support", "$0.012"):
        assert words in window.text
    assert [True] == window.pictures()
    assert "|" not in window.text
    window.screenshot("budgets")


def test_a_table_for_drilling_down(window: Browser) -> None:
    """Its columns have heads and its rows figures."""
    open_artifact(window, "cognition-costs-by-user")
    assert {"alice", "bob", "carol"} <= set(window.texts("main td"))


def test_the_summary_of_a_run(window: Browser) -> None:
    """What it asked, what was refused and which budget did so, on the page of the run as well."""
    open_artifact(window, "cognition-run-summary")
    for words in ("BudgetExceeded 1×", "daily budget of workflow untamed-loop"):
        assert words in window.text
    assert 3 == window.count("main table")
    assert "|" not in window.text
    window.screenshot("run-summary")


def test_deployments_say_when_they_run(window: Browser) -> None:
    """In words, and in the time zone they were deployed for."""
    window.open("/v2/deployments", "cognition-report-costs", "cognition-warm-cache", "At 06:05 AM")
    window.screenshot("deployments")
    window.click("//a[normalize-space()='monthly']")
    window.wait_for("At 06:30 AM, on day 1 of the month")


def test_automations_say_what_they_do(window: Browser) -> None:
    """Each its event and its action, and all are on; the one that tells people names its block."""
    window.open("/v2/automations", PAUSE, WARM, NOTIFY, "Send a custom webhook using")
    for words in ("Pause deployment inferred from the triggering event", "Run deployment:", EXCEEDED, "--automations"):
        assert words in window.text
    assert 3 == window.count("main [role=switch][aria-checked=true]")
    window.screenshot("automations")


def test_a_spent_budget_is_an_event(window: Browser) -> None:
    """In the feed, with the budget as its resource; the feed ends with the last full minute before it was loaded."""
    window.keep_opening('/v2/events?events=["cognition.budget.exceeded"]', "daily budget of workflow untamed-loop")
    window.screenshot("event")
