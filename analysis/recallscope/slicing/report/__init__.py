"""The report page: one self-contained HTML file with tables, figures and the text itself, token by token."""

from .page import write_report as write_report
