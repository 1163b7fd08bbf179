"""Imports of customers and coins from a file: how far each is, what of its file is still to be done, and what went wrong."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.models.runs import Run
from integrations.models import Merchant

LONGEST_FILE_NAME, LONGEST_VALUE, LONGEST_MESSAGE = 200, 100, 300
DIGITS = 24  # of a sum of coins


class ImportState(models.TextChoices):
    """Where an import stands."""

    READING = "reading", _("Being read")  # the file is on its way into the database
    DRAFT = "draft", _("Not started")  # it can be looked at; nothing is written yet
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    STOPPED = "stopped", _("Stopped")  # by a person, or because it may not go on


OVER = (ImportState.DONE, ImportState.STOPPED)


class ImportRun(Run):
    """One file of customers and coins for one merchant. Resumable: parts of the file before `position` are done and gone.

    Each part's rows, the counts and the position are written in one transaction, so a run that was cut off goes on where it was.
    """

    merchant = models.ForeignKey(Merchant, models.CASCADE, db_index=False, related_name="imports", verbose_name=_("merchant"))
    file_name = models.CharField(_("file"), max_length=LONGEST_FILE_NAME)
    fingerprint = models.CharField(max_length=64, blank=True, editable=False)  # sha256 of the file, in hex
    state = models.CharField(_("state"), max_length=8, choices=ImportState, default=ImportState.READING)
    starts_journeys = models.BooleanField(
        _("starts journeys"), default=False, help_text=_("Send what this import does to your providers as if it happened now.")
    )
    columns = models.JSONField(default=dict)  # our field: the name it has in the file
    ignored = models.JSONField(default=list)  # names of columns of which nothing is made
    preview = models.JSONField(default=dict)  # what the upload found out; emptied when the run is over
    rows = models.PositiveIntegerField(_("rows"), default=0)
    done = models.PositiveIntegerField(_("rows done"), default=0)
    created = models.PositiveIntegerField(_("customers made"), default=0)
    filled = models.PositiveIntegerField(_("customers completed"), default=0)
    credited = models.PositiveIntegerField(_("credits"), default=0)
    debited = models.PositiveIntegerField(_("debits"), default=0)
    coins_in = models.DecimalField(_("coins in"), max_digits=DIGITS, decimal_places=0, default=0)
    coins_out = models.DecimalField(_("coins out"), max_digits=DIGITS, decimal_places=0, default=0)
    failed = models.PositiveIntegerField(_("rows with errors"), default=0)
    faults_kept = models.PositiveIntegerField(default=0, editable=False)
    faults_lost = models.PositiveIntegerField(default=0, editable=False)  # beyond the number that is kept
    position = models.PositiveIntegerField(default=0, editable=False)  # number of the next part
    created_at = models.DateTimeField(_("uploaded at"), default=timezone.now)
    started_at = models.DateTimeField(_("started at"), null=True)

    class Meta:
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["merchant", "-id"], name="import_of_merchant"),
            models.Index(fields=["state"], condition=Q(state="running"), name="import_running"),
            models.Index(fields=["created_at"], name="import_by_age"),
        ]

    def __str__(self) -> str:
        """Return the file's name."""
        return self.file_name

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more comes of it."""
        return self.state in OVER


class ImportPart(models.Model):
    """Some rows of a file that are still to be imported: compressed JSON, made by `imports.storing`. Gone once they are done."""

    run = models.ForeignKey(ImportRun, models.CASCADE, db_index=False, related_name="parts", verbose_name=_("import"))
    number = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        verbose_name = _("part of an import")
        verbose_name_plural = _("parts of imports")
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="import_part_once")]

    def __str__(self) -> str:
        """Return its number."""
        return str(self.number)


class ImportFault(models.Model):
    """Why a row of a file was not imported. `row` counts as a spreadsheet does: the header is row 1."""

    run = models.ForeignKey(ImportRun, models.CASCADE, db_index=False, related_name="faults", verbose_name=_("import"))
    row = models.PositiveIntegerField(_("row"))
    column = models.CharField(_("column"), max_length=LONGEST_VALUE, blank=True)
    message = models.CharField(_("message"), max_length=LONGEST_MESSAGE)
    value = models.CharField(_("value"), max_length=LONGEST_VALUE, blank=True)  # as it stands in the file

    class Meta:
        verbose_name = _("error of an import")
        verbose_name_plural = _("errors of imports")
        indexes = [models.Index(fields=["run", "id"], name="import_fault_of_run")]

    def __str__(self) -> str:
        """Return row and message."""
        return f"{self.row}: {self.message}"
