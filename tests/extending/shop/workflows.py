"""A source of workflows: files with a question a line."""

from pathlib import Path
from typing import ClassVar

from django.core.exceptions import ImproperlyConfigured

from sessions_app.workflows import Context, Message, workflow
from sessions_app.workflows.sources import WorkflowSource, add_source
from tests.extending.shop.prompts import StarsPrompt


class SurveySource(WorkflowSource):
    """The key `survey` of an entry: the path of such a file."""

    key: ClassVar[str] = "survey"
    survey: Path

    def declare(self, name: str, folder: Path) -> None:
        """Declare a workflow that asks the questions.

        Raises:
            ImproperlyConfigured: the file cannot be read.
        """
        try:
            questions = (folder / self.survey).read_text().splitlines()
        except OSError as error:
            raise ImproperlyConfigured(f"{self.survey}: {error.strerror}") from None

        @workflow(name=name, title=name.capitalize())
        async def ask(message: Message, context: Context) -> str:
            stars = [(await context.ask(StarsPrompt(text=one))).value for one in questions]
            return f"{sum(stars)} stars of {5 * len(stars)}"


add_source(SurveySource)
