from cli.commands.demo.command import count_calls


def attempt(provider, outcome, ms=10):
    return {"provider": provider, "model": "m/m", "outcome": outcome, "duration_ms": ms}


def test_retries_stay_and_fallbacks_move():
    usage = {"total_tokens": 12, "cost": 0.25}
    job = {
        "usage": usage,
        "attempts": [attempt("a", "rejected"), attempt("a", "rejected"), attempt("b", "ok", 99)],
    }
    told = count_calls([job, {"usage": usage, "attempts": [attempt("a", "ok", 5)]}])
    first, second = told["a", "m/m"], told["b", "m/m"]
    assert (first.answered, first.attempts, first.retries, first.fallbacks) == (1, 3, 1, 0)
    assert (second.answered, second.attempts, second.retries, second.fallbacks) == (1, 1, 0, 1)
    assert (second.tokens, second.cost, second.latencies) == (12, 0.25, [99])
