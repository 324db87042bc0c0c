"""The copies that fill a database are ordinary ended jobs, and charts show all points."""

import re
from xml.etree import ElementTree as ET

from broker.billing.ledger import chain_entries
from tests.benchmarks.charts import Line, Panel, Point, draw
from tests.benchmarks.filling import fill_jobs, fill_workspaces
from tests.chaos.books import audit
from tests.factories import finished, make_principal, record, submit_and_claim, write
from tests.stacks import Stack


def test_copies_of_a_job_are_whole_and_the_books_balance(database, database_url):
    # Given an ended job whose entries are chained
    job = submit_and_claim(database, make_principal(database, credit=10**9))
    record(database, finished(job))
    write(database, chain_entries)
    stack = Stack(database_url)
    # When it is copied, in more than one transaction
    fill_jobs(stack, 25, group=10)
    # Then each copy has what the job has
    audit(stack)
    for table in ("jobs", "job_payloads", "attempts", "generations"):
        assert stack.ask(f"SELECT count(*) FROM {table}")[0][0] == 26, table
    # And nothing is left to be chained
    assert stack.ask("SELECT count(*) FROM ledger_entries WHERE sequence IS NULL")[0][0] == 0
    # And the copies are older than the job
    assert stack.ask("SELECT max(id) FROM jobs")[0][0] == job.id


def test_each_workspace_gets_a_key(database, database_url):
    keys = [*fill_workspaces(Stack(database_url), 3)]
    assert len(set(keys)) == 3


def test_a_chart_shows_every_point_above_its_axis():
    points = [Point(1, 2.5), Point(1_000, 0), Point(10**6, 7)]
    svg = draw([Panel("p50 & more", "jobs", [Line("<now>", points), Line("then", points[:1])])])
    root = ET.fromstring(svg)
    circles = root.findall(".//{http://www.w3.org/2000/svg}circle")
    xs = [float(each.attrib["cx"]) for each in circles]
    ys = [float(each.attrib["cy"]) for each in circles]
    assert len(circles) == 4
    assert xs[0] < xs[1] < xs[2]
    assert ys[2] < ys[0] < ys[1]
    assert re.search(r">1,000,000<", svg)
