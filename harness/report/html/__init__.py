"""One HTML page of one result, several, or a suite: it holds all it needs, and sends nothing."""

from harness.report.html.page import render_page
from harness.results.stored import Found, Stored, find_results

__all__ = ["Found", "Stored", "find_results", "render_page"]
