"""report.html: one file, no network, readable without JavaScript, light and dark, on a phone and on A4."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from slotproof.judgement import Judgement
from slotproof.plan.plan import Plan
from slotproof.record.record import Record
from slotproof.report.page import Page, sections
from slotproof.run_folder import RunFolder


def write_report(folder: RunFolder, plan: Plan, record: Record, judgement: Judgement) -> None:
    folder.report.write_text(report_html(plan, record, judgement), encoding="utf-8")


def report_html(plan: Plan, record: Record, judgement: Judgement) -> str:
    """The whole page. Every value from outside is escaped by the templates or by the drawing that shows it."""
    page = Page(plan, record, judgement)
    template = _environment().get_template("report.html.j2")
    return template.render(page=page, plan=plan, judgement=judgement, sections=list(sections(page)))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("slotproof.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    source, _, _ = PackageLoader("slotproof.report").get_source(environment, "report.css")
    environment.globals["style_sheet"] = Markup(source)
    return environment
