"""The service of batches, on a real database and directory; no provider is called."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from unittest import mock

import pytest
from redis.asyncio import Redis
from sqlalchemy import select, update

from broker import accounts, batches, presets, webhooks
from broker.batches import BatchOptions, Inspector, Options, new_batch, reports
from broker.batches.reading import GROUP_LINES
from broker.batches.reports import find_batch
from broker.clock import now_ms
from broker.credentials import LiveCredentials
from broker.enums import FilePurpose
from broker.ids import new_id
from broker.presets import NewVersion, PresetContent, PresetName
from broker.providers.endpoint_stats import Circuit, EndpointStats, Snapshot
from broker.providers.health import Observer
from broker.rate_limits import Limiter, LimitKind, RateLimit
from broker.requests.operations import Operation
from broker.security.encryption import Encryption
from broker.settings import Settings
from broker.storage import files
from broker.storage.database import Database
from broker.storage.files import FileStore, file_store
from broker.storage.tables import Batch, JobPayload
from tests.factories import finished, job_row, make_principal, record, run, write
from workers.services.batches import BatchKeeper
from workers.services.leader_election import LeaderElection
from workers.services.retention import RetentionService

ROWS = {
    "providers": [
        {"slug": slug, "wire": "openai", "base_url": "http://127.0.0.1:1", "api_key": "x"}
        for slug in ("sim", "bad")
    ],
    "models": [
        {"slug": "sim/a", "endpoints": [{"provider": "sim", "model": "a", "prompt": "1"}]},
        *(
            {
                "slug": slug,
                "endpoints": [
                    {"provider": "sim", "model": "a", "prompt": "1", "completion": "1"},
                    {"provider": "bad", "model": "a", "prompt": dear, "completion": dear},
                ],
            }
            for slug, dear in (("x/duo", "1"), ("x/solo", "100"))
        ),
    ],
}


@dataclass
class Tools:
    """The parts of a worker that batches use."""

    settings: Settings
    database: Database
    redis: Redis
    files: FileStore
    limiter: Limiter
    credentials: LiveCredentials
    observer: Observer

    def make_keeper(self):
        return BatchKeeper(
            LeaderElection(self.redis, "batches", "worker-1"),
            self.settings,
            self.database,
            self.files,
            redis=self.redis,
            limiter=self.limiter,
            credentials=self.credentials,
            observer=self.observer,
        )

    def make_retention(self):
        election = LeaderElection(self.redis, "retention", "worker-1")
        return RetentionService(election, self.settings, self.database, self.redis, self.files)


@pytest.fixture
def tools(database, tmp_path, redis):
    settings = Settings(data_dir=tmp_path, **ROWS)
    return Tools(
        settings=settings,
        database=database,
        redis=redis,
        files=file_store(settings),
        limiter=Limiter(redis, database),
        credentials=LiveCredentials(database, Encryption(b"k" * 32), ()),
        observer=Observer(redis),
    )


def make_batch(tools, lines, *, age_ms=0, **wish):
    """A batch that was created so long ago; returns its caller and its id."""
    caller = make_principal(tools.database)
    content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    inspector = Inspector()
    inspector.feed(content)
    found = inspector.findings()
    file_id = new_id("file_")
    with tools.files.writing(file_id) as file:
        file.write(content)
    row = files.FileRow(
        *(file_id, caller.workspace_id, FilePurpose.BATCH, len(content), now_ms()),
        lines=found.lines,
        problems=found.stored,
    )
    write(tools.database, files.add_upload, files.Upload(row, files.Quota(0, 0)))
    asked = BatchOptions(Operation.CHAT, **wish)
    new = new_batch(asked, caller, now_ms() - age_ms, input_file_id=file_id)
    created = write(tools.database, batches.insert_batch, new)
    return created.batch_id


def line(custom_id, **body):
    messages = [{"role": "user", "content": f"say {custom_id}"}]
    return {"custom_id": custom_id, "body": {"model": "sim/a", "messages": messages, **body}}


def row_of(tools, batch_id):
    return tools.database.read_now(find_batch, batch_id)


async def bring_forward(tools, batch_id, looks=1):
    """Look so often, as so many processes of which each is killed after its look."""
    for _ in range(looks):
        keeper = tools.make_keeper()
        await keeper.steps.advance()
        while keeper.steps.running:
            await asyncio.gather(*keeper.steps.running.values())
    return row_of(tools, batch_id)


def lines_of(tools, batch_id):
    return tools.database.read_now(lambda c: reports.lines(c, batch_id, 0, 10_000, ended=False))


def jobs_of(tools, batch_id):
    return [each.job_id for each in lines_of(tools, batch_id) if each.job_id is not None]


def providers_of(tools, batch_id):
    jobs = [job_row(tools.database, job_id) for job_id in jobs_of(tools, batch_id)]
    return [job.provider for job in jobs]


def complete(tools, job_id):
    [job] = run(tools.database, claims, job_id)
    record(tools.database, finished(job, now=now_ms()))


def claims(connection, job_ids):
    from broker.lifecycle import Claim, claim_many

    return claim_many(connection, [Claim(job_id, "w", now_ms(), 60_000) for job_id in job_ids])


def file_lines(tools, file_id):
    return [json.loads(each) for each in tools.files.read(file_id).splitlines()]


@pytest.mark.parametrize(
    ("events", "hears"), [([], False), (["batch.*"], False), (["batch.*", "job.failed"], True)]
)
async def test_a_batchs_receiver_hears_of_its_lines_where_it_asks_for_jobs(tools, events, hears):
    own = webhooks.build_job_webhook("https://shop.example/hook", events)
    batch_id = make_batch(tools, [line("a")], webhook=own)
    await bring_forward(tools, batch_id)
    [job_id] = jobs_of(tools, batch_id)
    assert job_row(tools.database, job_id).webhook == (own if hears else None)


async def test_lines_are_taken_in_in_groups(tools):
    count = GROUP_LINES + 10
    batch_id = make_batch(tools, [line(f"n{n}") for n in range(count)])
    row = await bring_forward(tools, batch_id)
    assert (row.state, row.lines_read, len(jobs_of(tools, batch_id))) == (
        "in_progress",
        count,
        count,
    )


def limit_key(tools, batch_id, **columns):
    with tools.database.transaction() as connection:
        accounts.change_key(connection, row_of(tools, batch_id).api_key_id, columns)


async def test_lines_of_a_limited_key_wait_for_jobs_to_end_and_leave_a_place_to_calls(tools):
    batch_id = make_batch(tools, [line(f"n{n}") for n in range(9)])
    limit_key(tools, batch_id, max_concurrent_jobs=5)
    row = await bring_forward(tools, batch_id, looks=2)
    jobs = jobs_of(tools, batch_id)
    assert (row.lines_read, row.waits_for, len(jobs)) == (4, "rate_limit", 4)
    complete(tools, jobs[0])
    row = await bring_forward(tools, batch_id)
    assert (row.lines_read, row.waits_for) == (5, "rate_limit")


async def test_lines_of_a_limited_key_wait_for_the_next_minute_however_long(tools):
    batch_id = make_batch(tools, [line(f"n{n}") for n in range(4)])
    limit_key(tools, batch_id, requests_per_minute=2)
    row = await bring_forward(tools, batch_id)
    assert (row.lines_read, row.waits_for) == (2, "rate_limit")
    for job_id in jobs_of(tools, batch_id):  # nothing is open: yet the batch does not end
        complete(tools, job_id)
    row = await bring_forward(tools, batch_id)
    assert (row.state, row.lines_read) == ("in_progress", 2)
    later = now_ms() + 61_000
    with mock.patch("workers.services.batches.now_ms", return_value=later):
        row = await bring_forward(tools, batch_id)
    assert (row.lines_read, row.waits_for) == (4, None)


async def test_what_makes_no_job_is_not_counted(tools):
    same = {"messages": [{"role": "user", "content": "the same"}]}
    lines = [line("a", **same), line("b", **same), line("c", model="no/such"), line("d")]
    batch_id = make_batch(tools, lines, options=Options(dedupe=True))
    limit_key(tools, batch_id, max_concurrent_jobs=3)
    await bring_forward(tools, batch_id)
    key = row_of(tools, batch_id).api_key_id
    limit = RateLimit(LimitKind.OPEN, key, 3, "the key's limit")
    assert await tools.limiter.count(limit, now_ms()) == 2


async def test_lines_go_where_their_key_may(tools):
    batch_id = make_batch(tools, [line("a", model="x/duo"), line("b"), line("c", model="x/solo")])
    limit_key(tools, batch_id, allowed_models='["x/*"]', allowed_providers='["bad"]')
    row = await bring_forward(tools, batch_id)
    assert providers_of(tools, batch_id) == ["bad", "bad"]
    [refused] = [each for each in lines_of(tools, batch_id) if each.refusal is not None]
    assert json.loads(refused.refusal)["status"] == 403
    assert row.lines_read == 3


async def test_lines_are_planned_by_what_is_known_of_the_endpoints(tools):
    # Given a model that is as cheap at two, of whom one fails and the other has a moment's pause
    now = now_ms()
    tools.observer.snapshot = Snapshot(
        {
            ("sim", "x/duo"): EndpointStats(
                uptime_5m=1.0, attempts_5m=99, paused_until=now + 9_000
            ),
            ("bad", "x/duo"): EndpointStats(uptime_5m=0.1, attempts_5m=99),
            ("sim", "x/solo"): EndpointStats(circuit=Circuit.OPEN, paused_until=now + 3_600_000),
        },
        taken_at=now,
    )
    # When lines are taken in
    batch_id = make_batch(tools, [line(f"n{n}", model="x/duo") for n in range(60)])
    await bring_forward(tools, batch_id)
    # Then they go to the one that works: by the time that it is their turn the pause is over
    providers = Counter(providers_of(tools, batch_id))
    assert providers["sim"] >= 50
    # And what will not be over by then counts
    batch_id = make_batch(tools, [line("a", model="x/solo")])
    await bring_forward(tools, batch_id)
    assert providers_of(tools, batch_id) == ["bad"]


async def test_lines_of_one_session_go_to_one_endpoint(tools):
    batch_id = make_batch(
        tools, [line(f"n{n}", model="x/duo", session_id=f"s{n % 32}") for n in range(64)]
    )
    await bring_forward(tools, batch_id)
    providers = providers_of(tools, batch_id)
    assert all(len(set(providers[n::32])) == 1 for n in range(32))
    assert set(providers) == {"sim", "bad"}


async def test_who_is_killed_while_taking_in_is_followed_where_it_stopped(tools):
    # Given a process that dies after its first group
    count = 2 * GROUP_LINES + 10
    batch_id = make_batch(tools, [line(f"n{n}") for n in range(count)])
    with mock.patch.object(BatchKeeper, "_reload", return_value=None):
        row = await bring_forward(tools, batch_id)
    assert row.lines_read == GROUP_LINES
    # Then the next one takes in the rest, and nothing twice
    await bring_forward(tools, batch_id)
    jobs = jobs_of(tools, batch_id)
    assert len(jobs) == len(set(jobs)) == count


async def test_who_is_killed_while_writing_is_followed_by_another_who_writes_the_same(tools):
    # Given a batch whose lines have ended, and a process that dies while it writes the files
    batch_id = make_batch(tools, [line("a"), line("b")])
    await bring_forward(tools, batch_id)
    for job_id in jobs_of(tools, batch_id):
        complete(tools, job_id)
    with mock.patch("broker.batches.assembly.result", side_effect=RuntimeError("killed")):
        row = await bring_forward(tools, batch_id)
    assert (row.state, row.output_file_id) == ("finalizing", None)
    assert list((tools.settings.data_dir / "files" / "drafts").iterdir()) == []
    # Then the next one writes them, and only then says that the batch is completed
    row = await bring_forward(tools, batch_id)
    assert row.state == "completed"
    assert [each["custom_id"] for each in file_lines(tools, row.output_file_id)] == ["a", "b"]


async def test_what_was_not_begun_in_time_is_told(tools):
    # Given a batch whose window closed before its lines were taken in
    options = Options()
    batch_id = make_batch(
        tools,
        [line("a"), {"custom_id": "b"}, line("c")],
        age_ms=16 * 60_000,
        completion_window="15m",
        options=options,
    )
    row = await bring_forward(tools, batch_id, looks=2)
    assert row.state == "expired"
    told = file_lines(tools, row.error_file_id)
    assert [(each["custom_id"], each["error"]["code"]) for each in told] == [
        ("a", "batch_expired"),
        ("b", "batch_expired"),
        ("c", "batch_expired"),
    ]


async def test_an_input_that_is_lost_ends_the_batch(tools):
    batch_id = make_batch(tools, [line("a")])
    tools.files.delete(row_of(tools, batch_id).input_file_id)
    row = await bring_forward(tools, batch_id, looks=2)
    assert (row.state, row.stop_reason) == ("cancelled", "input_file_not_found")


async def test_an_input_that_has_become_shorter_ends_the_batch(tools):
    batch_id = make_batch(tools, [line("a"), line("b")])
    content = tools.files.read(row_of(tools, batch_id).input_file_id)
    with tools.files.writing(row_of(tools, batch_id).input_file_id) as file:
        file.write(content.splitlines(keepends=True)[0])
    async with asyncio.timeout(20):
        row = await bring_forward(tools, batch_id)
    assert (row.lines_read, row.stop_reason) == (1, "input_file_not_found")


async def test_the_batchs_wishes_reach_lines_that_say_nothing_themselves(tools):
    options = Options(service_tier="batch", model="sim/a")
    own = line("own", service_tier="default", stream=True)
    bare = {"custom_id": "bare", "body": {"messages": [{"role": "user", "content": "x"}]}}
    batch_id = make_batch(tools, [own, bare], options=options, priority=7)
    await bring_forward(tools, batch_id)
    bodies = [request_of(tools, job_id) for job_id in jobs_of(tools, batch_id)]
    assert [each["service_tier"] for each in bodies] == ["default", "batch"]
    assert [each["model"] for each in bodies] == ["sim/a", "sim/a"]
    assert all("stream" not in each for each in bodies)


def request_of(tools, job_id):
    query = select(JobPayload.__table__.c.request).filter_by(job_id=job_id)
    return json.loads(tools.database.read_now(lambda c: c.execute(query).scalar_one()))


async def test_lines_name_presets_as_chats_do(tools):
    # Given a preset, and another that the batch names for lines without a model
    lines = [
        line("by model", model="@preset/mail", seed=7),
        line("by field", preset="mail", model=None),
        line("other model", model="x/duo@preset/mail"),
        line("of the batch", model=None),
        line("nobody's", preset="nobody"),
    ]
    batch_id = make_batch(tools, lines, options=Options(model="@preset/plain", dedupe=True))
    keep_preset(tools, batch_id, "mail", {"model": "sim/a", "seed": 1}, "Be brief.")
    keep_preset(tools, batch_id, "plain", {"model": "x/duo", "seed": 3})
    # When its lines are taken in
    await bring_forward(tools, batch_id)
    # Then they are what their presets stand for, less what they say themselves
    asked = [request_of(tools, job_id) for job_id in jobs_of(tools, batch_id)]
    assert [(each["model"], each["seed"]) for each in asked] == [
        ("sim/a", 7),
        ("sim/a", 1),
        ("x/duo", 1),
        ("x/duo", 3),
    ]
    assert [each["messages"][0]["role"] for each in asked] == ["system"] * 3 + ["user"]
    # and a line that names none that there is fails alone
    [refused] = [each for each in lines_of(tools, batch_id) if each.refusal is not None]
    told = json.loads(refused.refusal)
    assert (refused.custom_id, told["status"]) == ("nobody's", 404)
    assert "There is no preset 'nobody'" in told["error"]["message"]


def keep_preset(tools, batch_id, slug, config, system_prompt=None):
    row = row_of(tools, batch_id)
    name = PresetName(row.workspace_id, slug)
    kept = NewVersion(name, row.api_key_id, PresetContent(config, system_prompt), now_ms())
    write(tools.database, presets.save, kept)


async def test_files_whose_time_is_over_are_deleted_but_not_from_under_a_batch(tools):
    batch_id = make_batch(tools, [line("a")])
    input_id = row_of(tools, batch_id).input_file_id
    old = new_id("file_")
    with tools.files.writing(old) as file:
        file.write(b"x")
    write(
        tools.database,
        files.add_upload,
        files.Upload(
            files.FileRow(old, "ws", FilePurpose.VISION, 1, 0, expires_at=1), files.Quota(0, 0)
        ),
    )
    with tools.database.transaction() as connection:
        connection.exec_driver_sql("UPDATE files SET expires_at = 1")
    await tools.make_keeper().sweep()
    with pytest.raises(FileNotFoundError):
        tools.files.read(old)
    assert tools.files.read(input_id)


async def test_a_batch_goes_when_its_workspaces_retention_is_over(tools):
    batch_id = make_batch(tools, [line("a"), line("open")])
    await bring_forward(tools, batch_id)
    for job_id in jobs_of(tools, batch_id):
        complete(tools, job_id)
    row = await bring_forward(tools, batch_id, looks=2)
    assert row.state == "completed"
    tools.settings = tools.settings.model_copy(update={"retention_days": 1})
    # Given that its time is not over, nothing is lost
    assert not await tools.make_retention().retire()
    assert file_lines(tools, row.output_file_id)
    # When it is, the batch goes with its lines and its files
    age(tools, batch_id, 86_400_001)
    assert not await tools.make_retention().retire()
    assert row_of(tools, batch_id) is None
    assert lines_of(tools, batch_id) == []
    with pytest.raises(FileNotFoundError):
        file_lines(tools, row.output_file_id)


def age(tools, batch_id, ms):
    """Let a batch have ended so much earlier."""
    with tools.database.transaction() as connection:
        earlier = Batch.__table__.c.ended_at - ms
        connection.execute(
            update(Batch.__table__).where(Batch.__table__.c.id == batch_id).values(ended_at=earlier)
        )
