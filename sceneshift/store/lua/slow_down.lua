-- A throttled answer halves the rate of its endpoint: multiplicative decrease, once a second at the most. What was taken
-- away comes back by itself, a share of the limit per second, which is worked out by whoever uses the rate.
--
-- KEYS 1 pace of the endpoint (hash)   2 limits (hash)
-- ARGV 1 now   2 the limit's name   3 its setting, '' without limit   4 what a throttled answer leaves of the rate
--      5 the least that is left of the limit   6 share of the limit by which a lowered rate grows in a second
--      7 seconds between two decreases   8 nothing may be sent before this time, '' without such a wish
--      9 seconds for which a clock that was set back is waited: what lies further ahead than it can counts for nothing
--      10 the longest patience of the provider's (seconds)
-- Returns {from, to} (as text), or nothing where the rate was not lowered: just now, or because there is no limit.

local now = tonumber(ARGV[1])
local limit = tonumber(redis.call('HGET', KEYS[2], ARGV[2]) or ARGV[3])
if not limit then
  return {}
end
local lowest = limit * tonumber(ARGV[5])
local function believed(text, seconds_ahead)
  local time = tonumber(text or '0')
  return time <= now + seconds_ahead and time or 0
end
local pace = redis.call('HMGET', KEYS[1], 'rate', 'at', 'not_before')
local set_back = tonumber(ARGV[9])
if ARGV[8] ~= '' and tonumber(ARGV[8]) > believed(pace[3], tonumber(ARGV[10]) + set_back) then
  redis.call('HSET', KEYS[1], 'not_before', ARGV[8])
end
local from, lowered_at = limit, believed(pace[2], set_back)
if lowered_at > 0 then
  if now - lowered_at < tonumber(ARGV[7]) then
    return {}
  end
  local grown = tonumber(pace[1]) + limit * tonumber(ARGV[6]) * (now - lowered_at)
  from = math.max(lowest, math.min(limit, grown))
end
local to = math.max(lowest, from * tonumber(ARGV[4]))
redis.call('HSET', KEYS[1], 'rate', string.format('%.9f', to), 'at', ARGV[1])
return { string.format('%.9f', from), string.format('%.9f', to) }
