"""Tests of the configuration file: each error is reported with its line."""

import os
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from natproject.settings.env import ROOT
from sessions_app.workflows import Context, Message, registry, workflow
from sessions_app.workflows.config import ConfigError, RuntimeConfig
from tests.support.processes.command import run

GOOD = "default: calculator\nworkflows:\n  calculator:\n"


class Limits(BaseModel):
    """A part of options, with a name that Python has not."""

    model_config = ConfigDict(extra="forbid")

    most: int = Field(default=1, alias="at-most")


class WithAliases(BaseModel):
    """Options with a name that Python has not."""

    limits: Limits = Field(default=Limits(), alias="the-limits")


@workflow(name="t_aliases", title="Aliases", options=WithAliases)
async def aliases(message: Message, context: Context) -> str:
    return ""


def write(directory: Path, text: str) -> Path:
    path = directory / "workflows.yaml"
    path.write_text(text)
    return path


def complaint(directory: Path, text: str) -> str:
    """Return the error text for a configuration, without the file's path."""
    path = write(directory, text)
    with pytest.raises(ConfigError) as error_info:
        registry.offer(RuntimeConfig.load(path))
    return str(error_info.value).replace(str(path), "FILE")


def test_a_workflow_name_alone_is_a_valid_entry(tmp_path: Path) -> None:
    config = RuntimeConfig.load(write(tmp_path, GOOD))
    assert config.workflows["calculator"].max_concurrency == 64


def test_the_project_s_own_file_is_good() -> None:
    config = RuntimeConfig.load(ROOT / "natproject" / "workflows.yaml")
    assert config.default == "assistant"
    assert "probe" not in config.workflows


@pytest.mark.parametrize(
    ("text", "offered"),
    [(GOOD, {"calculator", "probe"}), ("default: probe\nworkflows:\n", {"probe"})],
    ids=["beside those of the file", "where the file has none"],
)
def test_extra_workflows_are_offered(tmp_path: Path, text: str, offered: set[str]) -> None:
    config = RuntimeConfig.load(write(tmp_path, text), extra={"probe": {}})
    assert set(config.workflows) == offered


@pytest.mark.parametrize(
    ("text", "expected_error"),
    [
        (GOOD + "    max_concurrency: 0\n", "FILE, line 4: workflows.calculator.max_concurrency"),
        (
            GOOD + "    colour: red\n",
            "FILE, line 4: workflows.calculator.colour: there is no such key. Keys: "
            "max_concurrency, max_concurrency_per_user, second_message, per_user_idle, queue, "
            "groups, permission, options",
        ),
        (
            GOOD + "colour: red\n",
            "FILE, line 4: colour: there is no such key. Keys: default, workflows",
        ),
        (GOOD + "    second_message: wait\n", "'enqueue', 'reject', 'interrupt' or 'parallel'"),
        ("workflows:\n  calculator:\n", "FILE, line 1: default: Field required"),
        ("default: x\nworkflows: {}\n", "FILE, line 2: workflows: Dictionary should have at least"),
        ("default: x\nworkflows: [a]\n", "FILE, line 2: workflows: Input should be"),
        ("- a\n", "FILE, line 1: file: Input should be"),
        ("", "FILE, line 1: it is empty. Write the workflows that are offered, such as"),
        ("# later\n", "FILE, line 1: it is empty."),
        ("default: [\n", "FILE, line 2: it is not YAML: expected the node content"),
        ("default: a: b\n", "FILE, line 1: it is not YAML: mapping values are not allowed here."),
        (
            "default: calculator\nworkflows:\n\tcalculator:\n",
            "FILE, line 3: a tab is before 'calculator:'. Indent by spaces.",
        ),
        (
            GOOD + "    options:\n    \tmax_operations: 1\n",
            "FILE, line 5: a tab is before 'max_operations: 1'. Indent by spaces.",
        ),
        (
            GOOD + "  report:\n  calculator:\n    max_concurrency: 1\n",
            "FILE, line 5: 'calculator' is here twice, in line 3 too. Keep one of them.",
        ),
        (
            GOOD + "    options: {max_operations: 1, max_operations: 2}\n",
            "FILE, line 4: 'max_operations' is here twice, in line 4 too.",
        ),
        (
            GOOD + "  nope:\n",
            "FILE, line 4: workflows.nope: no installed application declares a workflow 'nope'",
        ),
        (
            GOOD.replace("default: calculator", "default: report"),
            "FILE, line 1: default: 'report' is not among the workflows: calculator",
        ),
        (
            GOOD + "    options:\n      max_operations: 0\n      depth: 1\n",
            "FILE, line 5: workflows.calculator.options.max_operations: Input should be greater",
        ),
        (
            GOOD + "    options:\n      depth: 1\n",
            "FILE, line 5: workflows.calculator.options.depth: there is no such key. Keys: "
            "max_operations",
        ),
        (
            "default: t_aliases\nworkflows:\n  t_aliases:\n    options:\n      the-limits:\n"
            "        most: 1\n",
            "FILE, line 6: workflows.t_aliases.options.the-limits.most: there is no such key. "
            "Keys: at-most",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, expected_error: str) -> None:
    assert expected_error in complaint(tmp_path, text)


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    text = GOOD + "    max_concurrency: 0\n    colour: red\n"
    lines = [line.split(":")[0] for line in complaint(tmp_path, text).splitlines()]
    assert lines == ["FILE, line 4", "FILE, line 5"]


def test_a_missing_file_is_named_with_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.yaml: No such file.*WORKFLOWS_FILE"):
        RuntimeConfig.load(tmp_path / "nothing.yaml")


def test_a_file_that_is_not_utf_8_is_named_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "workflows.yaml"
    path.write_bytes(GOOD.encode() + "    title: Gr\u00fc\u00dfe\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"workflows\.yaml, line 4: it is not UTF-8"):
        RuntimeConfig.load(path)


@pytest.mark.slow
def test_a_mistake_ends_the_start_with_a_sentence_instead_of_a_traceback(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + "    colour: red\n")
    env = {**os.environ, "WORKFLOWS_FILE": str(path), "DATA_DIR": str(tmp_path)}
    process = run("manage.py", "check", env=env)
    assert process.returncode == 1
    expected = f"{path}, line 4: workflows.calculator.colour: there is no such key. Keys"
    assert process.stderr.startswith(expected)
    assert len(process.stderr.splitlines()) == 1
