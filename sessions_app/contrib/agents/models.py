"""The state of a LangGraph graph that a run drives: its checkpoints and its tasks' writes."""

from django.db import models

from sessions_app.models import Run


class GraphCheckpoint(models.Model):
    """A checkpoint of a LangGraph graph; LangGraph's thread is the run.

    `namespace` is "" for the graph itself, or names a subgraph; `checkpoint` and `parent` are
    ascending ids. `data` and `metadata` are encoded in LangGraph's formats that `data_form` and
    `metadata_form` name.
    """

    # No separate index: the unique constraint begins with this column.
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="+", db_index=False)
    namespace = models.TextField(blank=True)
    checkpoint = models.CharField(max_length=100)
    parent = models.CharField(max_length=100, blank=True)
    data_form = models.CharField(max_length=20)
    data = models.BinaryField()
    metadata_form = models.CharField(max_length=20)
    metadata = models.BinaryField()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["run", "namespace", "checkpoint"], name="graph_checkpoint_unique"
            ),
        )

    def __str__(self) -> str:
        return f"{self.namespace} {self.checkpoint}".strip()


class GraphWrite(models.Model):
    """A value that a task of a graph has written since a checkpoint.

    A task with stored values is not executed again. `number` is the index of the value in the task;
    negative numbers are reserved by LangGraph.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="+", db_index=False)
    namespace = models.TextField(blank=True)
    checkpoint = models.CharField(max_length=100)
    task = models.CharField(max_length=100)
    path = models.TextField(blank=True)
    number = models.IntegerField()
    channel = models.TextField()
    value_form = models.CharField(max_length=20)
    value = models.BinaryField()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["run", "namespace", "checkpoint", "task", "number"],
                name="graph_write_unique",
            ),
        )

    def __str__(self) -> str:
        return f"{self.channel} of {self.task}"


def fork_limit(run: Run, last: int) -> int:
    """Return the last position from which a run can be forked.

    The position is 1 for a run that drives a graph, whose state is not in the journal, else `last`.
    """
    return 1 if GraphCheckpoint.objects.filter(run=run).exists() else last
