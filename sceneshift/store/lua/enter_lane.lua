-- A worker that has taken a delivery asks whether it may be sent to its endpoint now. If not, it waits in the lane: the
-- step is as if nobody had taken it, and no attempt is counted.
--
-- A lane's line is in the order of the events. While an endpoint catches up, the first of it goes alone, and at a rate.
-- An open lane lets one through as a probe, when that is due. What was missed waits in a line of its own until the
-- endpoint is back.
--
-- KEYS 1 delivery (hash)   2 due (zset)   3 lane (hash)   4 its running ones (zset)   5 its waiting ones (zset)
--      6 its missed ones (zset)   7 its retrying ones (zset)
-- ARGV 1 JSON: id, step, fence, occurred_at, now, lease_until (of the attempt), leased_until (of any step that begins
--        now), look_again_at (a net, for one that waits), limits {kind: attempts in flight}, quick_milliseconds,
--        catch_up_pause (seconds), catch_up_behind (so many seconds late the next ones may make up for)
-- Returns 'go', the lane's kind and 'probe' or ''; 'wait' and for what; or 'lost' when the lease is.

local ask = cjson.decode(ARGV[1])
local record = redis.call('HMGET', KEYS[1], 'step', 'fence', 'begun', 'starts')
if record[1] ~= ask.step or record[2] ~= ask.fence or record[3] ~= ask.fence then
  return { 'lost' }
end

local now = ask.now
local lane = redis.call(
  'HMGET', KEYS[3], 'status', 'failures', 'latency_ms', 'last_attempt_at', 'probe_at', 'catching_up', 'next_at'
)
local status = lane[1] or 'closed'
local kind = 'slow'
if not lane[4] then
  kind = 'untried'
elseif tonumber(lane[2] or '0') > 0 then
  kind = 'failing'
elseif tonumber(lane[3] or '0') <= ask.quick_milliseconds then
  kind = 'quick'
end
redis.call('ZREM', KEYS[4], ask.id)
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now)
local running = redis.call('ZCARD', KEYS[4])

local function go(word)
  redis.call('ZADD', KEYS[4], ask.lease_until, ask.id)
  redis.call('PEXPIRE', KEYS[4], 600000)
  return { 'go', kind, word }
end

local function wait(why, due_at)
  local starts = (tonumber(record[4]) or 1) - 1
  if starts > 0 then
    redis.call('HSET', KEYS[1], 'starts', starts)
  else
    redis.call('HDEL', KEYS[1], 'starts', 'starts_since')
  end
  -- Above the number that this worker holds, so that its lease is renewed no more, and taken, so that no duplicate of
  -- its message can take it again.
  redis.call('HSET', KEYS[1], 'fence', record[2] + 1, 'begun', record[2] + 1)
  redis.call('ZADD', KEYS[2], 'XX', due_at, ask.id)
  return { 'wait', why }
end

local is_missed = redis.call('ZSCORE', KEYS[6], ask.id)
local function queue(why, places, at)
  if is_missed then
    return wait(why, '+inf')
  end
  redis.call('ZADD', KEYS[5], ask.occurred_at, ask.id)
  redis.call('ZREM', KEYS[7], ask.id)
  -- Nobody's turn comes sooner than the rate allows, and a long line costs no more looks than that.
  local turn_at = now + redis.call('ZRANK', KEYS[5], ask.id) * ask.catch_up_pause
  local answer = wait(why, string.format('%.3f', math.max(tonumber(ask.look_again_at), turn_at)))
  wake(KEYS[2], KEYS[5], places, at, ask.leased_until)
  return answer
end

if status == 'disabled' then
  if not is_missed then
    redis.call('ZADD', KEYS[5], ask.occurred_at, ask.id)
    redis.call('ZREM', KEYS[7], ask.id)
  end
  return wait('disabled', '+inf')
end
if status == 'open' then
  local probe_at = tonumber(lane[5] or '0')
  if running > 0 or now < probe_at then
    return queue('open', running > 0 and 0 or 1, math.max(now, probe_at))
  end
  redis.call('ZREM', KEYS[5], ask.id)
  return go('probe')
end
if lane[6] then
  local next_at = tonumber(lane[7] or '0')
  redis.call('ZADD', KEYS[5], ask.occurred_at, ask.id)
  if running > 0 or now < next_at or redis.call('ZRANK', KEYS[5], ask.id) > 0 then
    return queue('catching_up', running > 0 and 0 or 1, math.max(now, next_at))
  end
  -- An event that is a little late does not delay all after it.
  local at = lane[7] and math.max(next_at, now - ask.catch_up_behind) or now
  redis.call('HSET', KEYS[3], 'next_at', string.format('%.3f', at + ask.catch_up_pause))
  return go('')
end
local places = ask.limits[kind] - running
if places > 0 and redis.call('ZCARD', KEYS[5]) == 0 then
  return go('')
end
redis.call('ZADD', KEYS[5], ask.occurred_at, ask.id)
if places <= 0 or redis.call('ZRANK', KEYS[5], ask.id) >= places then
  return queue('full', places, now)
end
redis.call('ZREM', KEYS[5], ask.id)
return go('')
