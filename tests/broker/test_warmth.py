from broker import warmth
from broker.completion import Usage

SYSTEM = {"role": "system", "content": "Be kind"}
FIRST = {"role": "user", "content": "Hello"}
ANSWER = {"role": "assistant", "content": "Hi"}
NEXT = {"role": "user", "content": "And now?"}


def test_a_conversation_is_known_by_its_beginning():
    begun, later = {"messages": [SYSTEM, FIRST]}, {"messages": [SYSTEM, FIRST, ANSWER, NEXT]}
    assert warmth.key("w", begun) == warmth.key("w", later)
    assert warmth.key("w", begun) != warmth.key("other", begun)
    assert warmth.key("w", begun) != warmth.key("w", {"messages": [SYSTEM, NEXT]})


def test_a_name_given_to_it_goes_first():
    named = {"session_id": "s", "prompt_cache_key": "k", "messages": [FIRST]}
    assert warmth.key("w", named) == warmth.key("w", {"session_id": "s", "messages": [NEXT]})
    assert warmth.key("w", named) != warmth.key("w", {"prompt_cache_key": "k"})


def test_only_bodies_that_go_on_with_something_are_looked_up():
    assert not warmth.may_know({"messages": [SYSTEM, FIRST]})
    assert warmth.may_know({"messages": [FIRST, ANSWER, NEXT]})
    assert warmth.may_know({"messages": [FIRST], "session_id": "s"})
    for odd in ({}, {"messages": "Hello"}, {"messages": [None, 3]}):
        assert not warmth.may_know(odd)
        assert warmth.key("w", odd) is None


def test_an_answer_that_used_or_filled_a_cache_is_remembered():
    assert warmth.is_warm(Usage(cache_read=5), b"{}")
    assert warmth.is_warm(Usage(cache_write=5), b"{}")
    assert warmth.is_warm(Usage(input=5), b'{"session_id":"s"}')
    assert not warmth.is_warm(Usage(input=5), b"{}")


def test_a_batchs_lines_of_one_session_draw_alike():
    named, same = {"session_id": "s", "messages": [FIRST]}, {"session_id": "s", "messages": [NEXT]}
    assert warmth.seed("b", named) == warmth.seed("b", same) != 0
    assert warmth.seed("b", named) != warmth.seed("other", named)
    assert warmth.seed("b", {"messages": [FIRST]}) == 0


def test_what_is_nested_too_deeply_is_nobodys():
    deep = []
    for _ in range(400):
        deep = [deep]
    for body in ({"session_id": deep}, {"messages": [{"role": "user", "content": deep}, ANSWER]}):
        assert warmth.key("w", body) is None
        assert warmth.seed("b", body) == 0


class Absent:
    async def get(self, _):
        raise ConnectionError


async def test_without_redis_nothing_is_warm():
    body = {"messages": [FIRST], "session_id": "s"}
    assert await warmth.find(Absent(), "w", body) == {}
