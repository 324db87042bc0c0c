from broker.completion import Usage
from broker.routing import cache_affinity

SYSTEM = {"role": "system", "content": "Be kind"}
FIRST = {"role": "user", "content": "Hello"}
ANSWER = {"role": "assistant", "content": "Hi"}
NEXT = {"role": "user", "content": "And now?"}


def test_a_conversation_is_known_by_its_beginning():
    begun, later = {"messages": [SYSTEM, FIRST]}, {"messages": [SYSTEM, FIRST, ANSWER, NEXT]}
    assert cache_affinity.build_key("w", begun) == cache_affinity.build_key("w", later)
    assert cache_affinity.build_key("w", begun) != cache_affinity.build_key("other", begun)
    assert cache_affinity.build_key("w", begun) != cache_affinity.build_key(
        "w", {"messages": [SYSTEM, NEXT]}
    )


def test_a_name_given_to_it_goes_first():
    named = {"session_id": "s", "prompt_cache_key": "k", "messages": [FIRST]}
    assert cache_affinity.build_key("w", named) == cache_affinity.build_key(
        "w", {"session_id": "s", "messages": [NEXT]}
    )
    assert cache_affinity.build_key("w", named) != cache_affinity.build_key(
        "w", {"prompt_cache_key": "k"}
    )


def test_only_bodies_that_go_on_with_something_are_looked_up():
    assert not cache_affinity.may_be_cached({"messages": [SYSTEM, FIRST]})
    assert cache_affinity.may_be_cached({"messages": [FIRST, ANSWER, NEXT]})
    assert cache_affinity.may_be_cached({"messages": [FIRST], "session_id": "s"})
    for odd in ({}, {"messages": "Hello"}, {"messages": [None, 3]}):
        assert not cache_affinity.may_be_cached(odd)
        assert cache_affinity.build_key("w", odd) is None


def test_an_answer_that_used_or_filled_a_cache_is_remembered():
    assert cache_affinity.used_cache(Usage(cache_read=5), b"{}")
    assert cache_affinity.used_cache(Usage(cache_write=5), b"{}")
    assert cache_affinity.used_cache(Usage(input=5), b'{"session_id":"s"}')
    assert not cache_affinity.used_cache(Usage(input=5), b"{}")


def test_a_batchs_lines_of_one_session_draw_alike():
    named, same = {"session_id": "s", "messages": [FIRST]}, {"session_id": "s", "messages": [NEXT]}
    assert cache_affinity.derive_seed("b", named) == cache_affinity.derive_seed("b", same) != 0
    assert cache_affinity.derive_seed("b", named) != cache_affinity.derive_seed("other", named)
    assert cache_affinity.derive_seed("b", {"messages": [FIRST]}) == 0


def test_what_is_nested_too_deeply_is_nobodys():
    deep = []
    for _ in range(400):
        deep = [deep]
    for body in ({"session_id": deep}, {"messages": [{"role": "user", "content": deep}, ANSWER]}):
        assert cache_affinity.build_key("w", body) is None
        assert cache_affinity.derive_seed("b", body) == 0


class Absent:
    async def get(self, _):
        raise ConnectionError


async def test_without_redis_nothing_is_warm():
    body = {"messages": [FIRST], "session_id": "s"}
    assert await cache_affinity.find(Absent(), "w", body) == {}
