-- The outcome of one attempt at a webhook: a compare-and-set on the delivery's step that moves its due time, its lane's
-- health, and whoever waits behind it, together.
--
-- KEYS 1 delivery (hash)   2 due (zset)   3 deliveries:exhausted (zset)   4 attempts (list)   5 counts (hash)
--      6 lane (hash)   7 its running ones (zset)   8 its waiting ones (zset)   9 its missed ones (zset)
--      10 lanes:failing (zset)   11 the lane's retrying ones (zset)
-- ARGV 1 JSON: id, step, now, began_at, occurred_at, ttl_milliseconds, status ('delivered', 'pending', 'exhausted',
--        'missed' or 'aborted'), due_at (text, of a pending one), tries_used_up (it is missed instead of exhausted when
--        the endpoint is away, and has taken nothing since its first try), restarts (its tries begin anew with this one),
--        set {field: text}, attempt (text), result (a word for the counts),
--        lane (absent when its endpoint is not known) {id, result ('success', 'failure' or 'none'), disable (a reason,
--        or ''), set {field: text}, leased_until, limits {kind: attempts in flight}, quick_milliseconds,
--        open_after, probe_first, probe_max, probe_missed, probe_jitter, pause_at_least, disable_after, thresholds,
--        ttl_milliseconds}
-- Returns nothing when the step has passed; otherwise the delivery's status, since when its endpoint fails, and the
-- thresholds that nobody has told of yet.

local attempt = cjson.decode(ARGV[1])
local record = redis.call('HMGET', KEYS[1], 'step', 'first_attempt_at', 'status')
if record[1] ~= attempt.step then
  return {}
end
local now, id, lane = attempt.now, attempt.id, attempt.lane
local status = attempt.status
local first_attempt_at = tonumber(record[2])
if not first_attempt_at or attempt.restarts then
  first_attempt_at = attempt.began_at
  attempt.set.first_attempt_at = string.format('%.3f', first_attempt_at)
end
local known = redis.call(
  'HMGET', KEYS[6], 'status', 'failures', 'failing_since', 'last_success_at', 'probe_at', 'probes', 'catching_up', 'next_at'
)
-- An endpoint that does not fail would wake nobody who was missed. One that was missed and has not begun anew was only a
-- probe, whatever its endpoint has taken meanwhile.
local is_away = lane and (lane.result == 'failure' or known[3] or (known[1] or 'closed') ~= 'closed')
local took_nothing = tonumber(known[4] or '-1') < first_attempt_at
if is_away and attempt.tries_used_up and (took_nothing or record[3] == 'missed') then
  status = 'missed'
end

-- The delivery.
local fields = { 'status', status }
for name, text in pairs(attempt.set) do
  fields[#fields + 1] = name
  fields[#fields + 1] = text
end
redis.call('HSET', KEYS[1], unpack(fields))
redis.call('HDEL', KEYS[1], 'fence', 'begun', 'starts', 'starts_since')
redis.call('RPUSH', KEYS[4], attempt.attempt)
redis.call('LTRIM', KEYS[4], -20, -1)
if status == 'pending' then
  redis.call('ZADD', KEYS[2], attempt.due_at, id)
elseif status == 'missed' then
  redis.call('ZADD', KEYS[2], '+inf', id)
else
  redis.call('ZREM', KEYS[2], id)
  redis.call('PEXPIRE', KEYS[1], attempt.ttl_milliseconds)
  redis.call('PEXPIRE', KEYS[4], attempt.ttl_milliseconds)
end
if status == 'exhausted' then
  redis.call('ZADD', KEYS[3], string.format('%.3f', now), id)
end
redis.call('HINCRBY', KEYS[5], attempt.result, 1)
if status ~= 'pending' and status ~= attempt.result then
  redis.call('HINCRBY', KEYS[5], status, 1)
end
if not lane then
  return { status, '' }
end

-- Its lane.
redis.call('ZREM', KEYS[7], id)
redis.call('ZREM', KEYS[8], id)
if status == 'pending' then
  redis.call('ZADD', KEYS[11], attempt.occurred_at, id)
else
  redis.call('ZREM', KEYS[11], id)
end
if status == 'missed' then
  redis.call('ZADD', KEYS[9], attempt.occurred_at, id)
else
  redis.call('ZREM', KEYS[9], id)
end
local lane_status = known[1] or 'closed'
local failures = tonumber(known[2] or '0')
local was_probe = lane_status == 'open' and attempt.began_at >= tonumber(known[5] or '0')
local catching_up = known[7]
fields = { 'status', lane_status }
for name, text in pairs(lane.set) do
  fields[#fields + 1] = name
  fields[#fields + 1] = text
end
redis.call('HSET', KEYS[6], unpack(fields))

local function probe_after(probes)
  local pause = math.min(lane.probe_max, lane.probe_first * 2 ^ math.min(probes - 1, 30)) * lane.probe_jitter
  local probe_at = now + math.max(pause, lane.pause_at_least)
  redis.call('HSET', KEYS[6], 'probes', probes, 'probe_at', string.format('%.3f', probe_at))
  return probe_at
end

local probe_at = tonumber(known[5] or '0')
if lane.result == 'success' then
  failures = 0
  redis.call('HSET', KEYS[6], 'failures', 0, 'last_success_at', string.format('%.3f', now))
  if lane_status ~= 'disabled' then
    redis.call('HDEL', KEYS[6], 'failing_since', 'probe_at', 'probes', 'warned')
    if lane_status == 'open' or redis.call('EXISTS', KEYS[9]) == 1 then
      line_up(KEYS[8], KEYS[9], KEYS[11])
      lane_status, catching_up = 'closed', string.format('%.3f', now)
      redis.call('HSET', KEYS[6], 'status', 'closed', 'catching_up', catching_up)
    end
  end
elseif lane.result == 'failure' then
  failures = failures + 1
  redis.call('HSET', KEYS[6], 'failures', failures)
  redis.call('HSETNX', KEYS[6], 'failing_since', string.format('%.3f', now))
  redis.call('ZADD', KEYS[10], 'NX', string.format('%.3f', now), lane.id)
  if lane_status == 'closed' and failures >= lane.open_after then
    lane_status, catching_up = 'open', nil
    redis.call('HSET', KEYS[6], 'status', 'open')
    redis.call('HDEL', KEYS[6], 'catching_up', 'next_at')
    probe_at = probe_after(1)
  elseif was_probe then
    probe_at = probe_after(tonumber(known[6] or '1') + 1)
  end
elseif was_probe then
  probe_at = probe_after(tonumber(known[6] or '1'))
end
if lane.disable ~= '' and lane_status ~= 'disabled' then
  local at = string.format('%.3f', now)
  redis.call('HSET', KEYS[6], 'status', 'disabled', 'disabled_at', at, 'disabled_by', lane.disable)
  redis.call('HSETNX', KEYS[6], 'failing_since', at)
  redis.call('HDEL', KEYS[6], 'catching_up', 'next_at', 'probe_at', 'probes')
  redis.call('ZADD', KEYS[10], 'NX', at, lane.id)
end
local untold = {}
if lane.result == 'failure' or lane.disable ~= '' then
  untold = lane_warnings(KEYS[6], now, lane.disable_after, lane.thresholds)
end

-- Whoever waits behind it.
lane_status = redis.call('HGET', KEYS[6], 'status')
local waiting = redis.call('ZCARD', KEYS[8])
if catching_up and lane_status == 'closed' then
  -- What occurred after the endpoint was back is no backlog: otherwise a busy one would catch up for ever.
  local head = redis.call('ZRANGE', KEYS[8], 0, 0, 'WITHSCORES')
  if not head[2] or tonumber(head[2]) > tonumber(catching_up) then
    catching_up = nil
    redis.call('HDEL', KEYS[6], 'catching_up', 'next_at')
  end
end
if waiting > 0 and lane_status == 'open' then
  wake(KEYS[2], KEYS[8], 1, math.max(now, probe_at), lane.leased_until)
elseif waiting > 0 and catching_up and lane_status == 'closed' then
  local places = 1 - redis.call('ZCARD', KEYS[7])
  wake(KEYS[2], KEYS[8], places, math.max(now, tonumber(known[8] or '0')), lane.leased_until)
elseif waiting > 0 and lane_status == 'closed' then
  local seen = redis.call('HMGET', KEYS[6], 'last_attempt_at', 'latency_ms')
  local kind = 'slow'
  if not seen[1] then
    kind = 'untried'
  elseif failures > 0 then
    kind = 'failing'
  elseif tonumber(seen[2]) <= lane.quick_milliseconds then
    kind = 'quick'
  end
  wake(KEYS[2], KEYS[8], lane.limits[kind] - redis.call('ZCARD', KEYS[7]), now, lane.leased_until)
elseif lane_status == 'open' and redis.call('EXISTS', KEYS[9]) == 1 then
  wake(KEYS[2], KEYS[9], 1, math.max(probe_at, now + lane.probe_missed), lane.leased_until)
end
local since = redis.call('HGET', KEYS[6], 'failing_since') or ''
if lane_status == 'closed' and failures == 0 and not catching_up then
  redis.call('ZREM', KEYS[10], lane.id)
  redis.call('PEXPIRE', KEYS[6], lane.ttl_milliseconds)
else
  redis.call('PERSIST', KEYS[6])
end
return { status, since, unpack(untold) }
