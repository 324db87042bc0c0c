"""GET /queues: what waits, by provider and lane, for those who may see it."""

CHAT = {"model": "acme/small", "messages": [{"role": "user", "content": "Hello"}]}


async def test_callers_see_the_queues_of_their_workspace_and_operators_all(api):
    other = api.key(api.workspace())
    for key in (api.key(), api.key(), other):
        await api.ask("POST", "/jobs", key, json={"body": CHAT})
    await api.ask("POST", "/jobs", other, json={"body": CHAT, "lane": "batch"})
    [own] = (await api.ask("GET", "/queues", api.key())).json()["data"]
    assert (own["provider"], own["lane"], own["waiting"], own["running"]) == (
        "sim", "interactive", 2, 0,
    )  # fmt: skip
    assert own["oldest_seconds"] >= 0
    everything = (await api.ask("GET", "/queues")).json()
    assert [(each["lane"], each["waiting"]) for each in everything["data"]] == [
        ("batch", 1),
        ("interactive", 3),
    ]
    assert everything["workers"] is None  # Redis, which counts them, does not answer here
