"""State of pacing that all processes share in Redis: calls in flight, rates, load, pauses."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from broker.providers.endpoint_stats import EndpointKey, Pause, PauseReason
from broker.providers.pacing.limits import Cause, ProviderLimits

PREFIX = "waybill:pacing:"
LEASE_MS = 6_000
"""The time after which the slots of a process that reports nothing become free."""

ADMIT = """
local ring, held_key, waiting_key = KEYS[1], KEYS[2], KEYS[3]
local me, held, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local want_i, want_b = tonumber(ARGV[4]), tonumber(ARGV[5])
local slots, kept_slots = tonumber(ARGV[6]), tonumber(ARGV[7])
local rpm, kept_calls, even = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local tpm, mean, spent = tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])
local call_ms, want_spare = ARGV[14], tonumber(ARGV[15])
local clock = redis.call('TIME')
local second = tonumber(clock[1])
local now = second * 1000 + math.floor(tonumber(clock[2]) / 1000)
local SLOTS, RATE, BEHIND = 1, 2, 3

local function in_flight_elsewhere()
  local all, sum = redis.call('HGETALL', held_key), 0
  for i = 1, #all, 2 do
    if all[i] ~= me then
      local count, expiry = string.match(all[i + 1], '(%d+) (%d+)')
      if tonumber(expiry) < now then redis.call('HDEL', held_key, all[i])
      else sum = sum + tonumber(count) end
    end
  end
  return sum
end

local calls, tokens = 0, 0
local function advance_ring()
  local state = redis.call('HMGET', ring, 'at', 'calls', 'tokens')
  local at = tonumber(state[1]) or 0
  if second - at > 60 then redis.call('DEL', ring) return end
  calls, tokens = tonumber(state[2]), tonumber(state[3])
  for s = at + 1, second do
    local c, t = 'c' .. s % 61, 't' .. s % 61
    local old = redis.call('HMGET', ring, c, t)
    calls, tokens = calls - (tonumber(old[1]) or 0), tokens - (tonumber(old[2]) or 0)
    redis.call('HDEL', ring, c, t)
  end
end

local function ms_until_left(most_calls, most_tokens)
  local fields = {}
  for s = second - 60, second do
    fields[#fields + 1] = 'c' .. s % 61
    fields[#fields + 1] = 't' .. s % 61
  end
  local counts = redis.call('HMGET', ring, unpack(fields))
  local c, t = calls, tokens
  for i = 0, 60 do
    c, t = c - (tonumber(counts[2 * i + 1]) or 0), t - (tonumber(counts[2 * i + 2]) or 0)
    if c <= most_calls and t <= most_tokens then return (second + i + 1) * 1000 - now end
  end
  return 1000
end

local paced = rpm > 0 or tpm > 0
local left, this_second = math.huge, 0
if paced then
  advance_ring()
  tokens = tokens + spent
  this_second = tonumber(redis.call('HGET', ring, 'c' .. second % 61) or '0')
  if rpm > 0 then left = rpm - calls end
  if tpm > 0 then
    local more = math.floor((tpm - tokens) / mean)
    if calls <= 0 and more < 1 then more = 1 end  -- an empty minute takes any call
    left = math.min(left, more)
  end
end

local free = slots - in_flight_elsewhere() - held
local give_i = math.max(0, math.min(want_i, free, left))
local cause_i, wait_i = 0, 0
if give_i < want_i then
  if free <= give_i then cause_i = SLOTS
  else
    cause_i = RATE
    wait_i = ms_until_left(rpm > 0 and rpm - 1 or math.huge, tpm > 0 and tpm - mean or math.huge)
  end
  redis.call('SET', waiting_key, me, 'PX', math.min(wait_i + 1000, 5000))
end

local give_b, cause_b, wait_b = 0, 0, 0
if want_b > 0 then
  local ahead = redis.call('GET', waiting_key)
  if ahead == me and give_i == want_i then
    redis.call('DEL', waiting_key)
    ahead = false
  end
  if ahead then
    cause_b, wait_b = BEHIND, math.max(redis.call('PTTL', waiting_key), 50)
  else
    local free_b, left_b = free - give_i - kept_slots, left - give_i - kept_calls
    local even_b = even > 0 and even - this_second - give_i or math.huge
    give_b = math.max(0, math.min(want_b, free_b, left_b, even_b))
    if give_b < want_b then
      if free_b <= give_b then cause_b = SLOTS
      elseif left_b <= give_b then
        cause_b = RATE
        wait_b = ms_until_left(
          rpm > 0 and rpm - kept_calls - 1 or math.huge, tpm > 0 and tpm - mean or math.huge)
      else cause_b, wait_b = RATE, (second + 1) * 1000 - now end
    end
  end
end

local given = give_i + give_b
if paced then
  local cost = given * mean + spent
  redis.call('HSET', ring, 'at', second, 'calls', calls + given, 'tokens', tokens + given * mean)
  if given > 0 then redis.call('HINCRBY', ring, 'c' .. second % 61, given) end
  if cost ~= 0 then redis.call('HINCRBY', ring, 't' .. second % 61, cost) end
  redis.call('EXPIRE', ring, 120)
end
local spare = math.max(0, math.min(want_spare, free - given - math.ceil(slots / 4)))
local taken = held + given + spare
if taken > 0 then
  local busy = string.format('%d %d %s %d', taken, now + lease, call_ms, mean)
  redis.call('HSET', held_key, me, busy)
  redis.call('PEXPIRE', held_key, lease)
else redis.call('HDEL', held_key, me) end
return {give_i, give_b, cause_i, wait_i, cause_b, wait_b, free - given, spare}
"""

_CAUSES = (None, Cause.CONCURRENCY, Cause.RATE_LIMIT, Cause.INTERACTIVE_FIRST)


def build_keys(provider: str) -> tuple[str, str, str]:
    """Return a provider's keys: calls of the last minute, slots by process, waiting jobs."""
    base = f"{PREFIX}{{{provider}}}"
    return base, f"{base}:held", f"{base}:waiting"


@dataclass(frozen=True, slots=True)
class SlotRequest:
    """One process's request for slots of one provider."""

    provider: str
    limits: ProviderLimits
    process: str
    held: int  # calls in flight in this process
    interactive: int  # interactive calls to start
    batch: int
    tokens_a_call: int  # the expected tokens of a call
    tokens_spent: int  # used beyond the expected tokens since the last request
    call_ms: int  # the mean duration of a call in this process
    spare: int = 0  # slots to reserve for later calls

    def arguments(self) -> list[str | int]:
        limits = self.limits
        return [
            *(self.process, self.held, LEASE_MS, self.interactive, self.batch),
            *(limits.max_concurrency, limits.reserved_slots),
            *(limits.requests_per_minute, limits.reserved_calls, limits.batch_calls_a_second),
            *(limits.tokens_per_minute, self.tokens_a_call, self.tokens_spent),
            *(self.call_ms, self.spare),
        ]


@dataclass(frozen=True, slots=True)
class LaneGrant:
    """The calls that a lane may start, and the cause that limits them."""

    granted: int
    cause: Cause | None = None
    wait_ms: int = 0  # until the next call may start, where that is known


@dataclass(frozen=True, slots=True)
class SlotAnswer:
    interactive: LaneGrant
    batch: LaneGrant
    free: int  # slots left in the installation
    spare: int = 0  # slots reserved for later calls


def decode_answer(reply: Sequence[int]) -> SlotAnswer:
    give_i, give_b, cause_i, wait_i, cause_b, wait_b, free, spare = reply
    interactive = LaneGrant(give_i, _CAUSES[cause_i], wait_i)
    return SlotAnswer(interactive, LaneGrant(give_b, _CAUSES[cause_b], wait_b), free, spare)


QUEUE_FACTOR = 2  # jobs on a queue, as a multiple of the calls that can start before the next poll
POLL_SECONDS = 0.3  # between two polls of the dispatcher
TYPICAL_CALL_MS = 2_000


@dataclass(frozen=True, slots=True)
class Load:
    """The calls in flight at a provider, of all processes, with their means."""

    in_flight: int = 0
    call_ms: int = TYPICAL_CALL_MS
    call_tokens: int = 1_000


NO_LOAD = Load()


async def read_loads(redis: Redis, providers: Iterable[str], now: int) -> dict[str, Load]:
    """Return the load of these providers. Raises RedisError."""
    names = list(providers)
    pipeline = redis.pipeline(transaction=False)
    for name in names:
        pipeline.hvals(build_keys(name)[1])
    replies = await pipeline.execute()
    return {name: _compute_load(held, now) for name, held in zip(names, replies, strict=True)}


def _compute_load(held: list[Any], now: int) -> Load:
    processes = [[int(word) for word in each.split()] for each in held]
    live = [each for each in processes if each[1] >= now]
    in_flight = sum(count for count, *_ in live)
    if not in_flight:
        return NO_LOAD
    return Load(
        in_flight=in_flight,
        call_ms=max(sum(count * ms for count, _, ms, _ in live) // in_flight, 1),
        call_tokens=max(sum(count * tokens for count, _, _, tokens in live) // in_flight, 1),
    )


def find_room(limits: ProviderLimits, load: Load) -> int:
    """Return how many jobs may wait on a provider's queues: twice the calls it can start soon.

    Those are its free slots and those that become free before the next poll, within its rates. The
    result is at least one, so that a worker notices when a pause ends. Pure.
    """
    busy = min(load.in_flight, limits.max_concurrency)
    startable = limits.max_concurrency - busy + busy * POLL_SECONDS * 1_000 / load.call_ms
    if limits.requests_per_minute:
        startable = min(startable, limits.requests_per_minute / 60 * POLL_SECONDS)
    if limits.tokens_per_minute:
        startable = min(startable, limits.tokens_per_minute / load.call_tokens / 60 * POLL_SECONDS)
    return max(math.ceil(QUEUE_FACTOR * startable), 1)


KEY = f"{PREFIX}paused"
"""A hash: the fields are endpoints, the values the end of a pause (Unix ms) and its reason."""
PAUSES_TTL_SECONDS = 600

_PAUSE = """
local stored = redis.call('HGET', KEYS[1], ARGV[1]) or '0'
local known = tonumber(string.match(stored, '^%d+')) or 0
if tonumber(ARGV[2]) > known then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
end
redis.call('EXPIRE', KEYS[1], ARGV[4])
"""
"""Of two pauses the one with the later end stays, in whichever order they are stored."""


async def exchange_pauses(
    redis: Redis, news: Mapping[EndpointKey, Pause], now: int
) -> list[tuple[EndpointKey, Pause]]:
    """Publish these pauses and return all current ones, in one round trip. Raises RedisError."""
    pipeline = redis.pipeline(transaction=False)
    for endpoint, pause in news.items():
        arguments = (pause.until, pause.reason.value, PAUSES_TTL_SECONDS)
        pipeline.eval(_PAUSE, 1, KEY, "\n".join(endpoint), *arguments)
    pipeline.hgetall(KEY)
    stored: Mapping[bytes, bytes] = (await pipeline.execute())[-1]
    expired = [field for field, value in stored.items() if _decode_pause(value).until <= now]
    if expired:
        client: Any = redis  # its annotations mix the sync and async clients
        await client.hdel(KEY, *expired)
    return [
        (endpoint, pause) for endpoint, pause in read_pauses(stored).items() if pause.until > now
    ]


def read_pauses(stored: Mapping[bytes, bytes]) -> dict[EndpointKey, Pause]:
    """Return the pause of each endpoint from the stored hash."""
    return {
        _decode_endpoint(field.decode()): _decode_pause(value) for field, value in stored.items()
    }


def _decode_pause(value: bytes) -> Pause:
    until, _, reason = value.decode().partition(" ")
    return Pause(int(until), PauseReason(reason))


def _decode_endpoint(field: str) -> EndpointKey:
    provider, model = field.split("\n", 1)
    return provider, model
