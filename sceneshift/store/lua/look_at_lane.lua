-- A look at a lane that is not well, whether anything is attempted there or not: what is to be told of it is returned,
-- whoever waits is woken if that was forgotten, and what has outlived its job is looked at once more, to be ended.
--
-- KEYS 1 lane (hash)   2 its waiting ones (zset)   3 its missed ones (zset)   4 due (zset)   5 lanes:failing (zset)
-- ARGV 1 JSON: id, now, leased_until, expired_before (of what occurred before this, the job may be gone),
--        ttl_milliseconds, disable_after, thresholds, probe_missed (seconds)
-- Returns since when the endpoint fails, and the thresholds that nobody has told of yet.

local look = cjson.decode(ARGV[1])
local now = look.now
for number = 2, 3 do
  local expired = redis.call('ZRANGE', KEYS[number], '-inf', look.expired_before, 'BYSCORE', 'LIMIT', 0, 500)
  for _, id in ipairs(expired) do
    redis.call('ZREM', KEYS[number], id)
    redis.call('ZADD', KEYS[4], 'XX', string.format('%.3f', now), id)
  end
end

local lane = redis.call(
  'HMGET', KEYS[1], 'status', 'failures', 'probe_at', 'next_at', 'failing_since', 'disabled_by'
)
local waiting, missed = redis.call('ZCARD', KEYS[2]), redis.call('ZCARD', KEYS[3])
local status = lane[1] or 'closed'
if status == 'closed' and (lane[2] or '0') == '0' and waiting + missed == 0 then
  redis.call('HDEL', KEYS[1], 'catching_up', 'next_at')
  redis.call('ZREM', KEYS[5], look.id)
  return { '' }
end
if status == 'disabled' then
  -- A person's word stands until a person takes it back.
  if waiting + missed > 0 or lane[6] == 'operator' then
    redis.call('PERSIST', KEYS[1])
  elseif redis.call('PTTL', KEYS[1]) == -1 then
    redis.call('PEXPIRE', KEYS[1], look.ttl_milliseconds)
  end
elseif status == 'open' then
  local probe_at = tonumber(lane[3] or '0')
  wake(KEYS[4], KEYS[2], 1, math.max(now, probe_at), look.leased_until)
  if waiting == 0 then
    wake(KEYS[4], KEYS[3], 1, math.max(probe_at, now + look.probe_missed), look.leased_until)
  end
else
  wake(KEYS[4], KEYS[2], 1, math.max(now, tonumber(lane[4] or '0')), look.leased_until)
  wake(KEYS[4], KEYS[3], 1, now + look.probe_missed, look.leased_until)
end
return { lane[5] or '', unpack(lane_warnings(KEYS[1], now, look.disable_after, look.thresholds)) }
