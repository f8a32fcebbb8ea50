"""What people look at: tables, plots and pages.

In: summaries and recordings; out: text, pictures and HTML.
"""
