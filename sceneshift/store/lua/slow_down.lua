-- A throttled answer halves the rate of its endpoint: multiplicative decrease, once a second at the most. What was taken
-- away comes back by itself, a share of the limit per second, which is worked out by whoever uses the rate.
--
-- KEYS 1 pace of the endpoint (hash)   2 limits (hash)
-- ARGV 1 now   2 the limit's name   3 its setting, '' without limit   4 what a throttled answer leaves of the rate
--      5 the least that is left of the limit   6 share of the limit by which a lowered rate grows in a second
--      7 seconds between two decreases   8 nothing may be sent before this time, '' without such a wish
-- Returns {from, to} (as text), or nothing where the rate was not lowered: just now, or because there is no limit.

local now = tonumber(ARGV[1])
local limit = tonumber(redis.call('HGET', KEYS[2], ARGV[2]) or ARGV[3])
if not limit then
  return {}
end
local pace = redis.call('HMGET', KEYS[1], 'rate', 'at', 'not_before')
if ARGV[8] ~= '' and tonumber(ARGV[8]) > tonumber(pace[3] or '0') then
  redis.call('HSET', KEYS[1], 'not_before', ARGV[8])
end
local from = limit
if pace[1] then
  if now - tonumber(pace[2]) < tonumber(ARGV[7]) then
    return {}
  end
  from = math.min(limit, tonumber(pace[1]) + limit * tonumber(ARGV[6]) * (now - tonumber(pace[2])))
end
local to = math.max(limit * tonumber(ARGV[5]), from * tonumber(ARGV[4]))
redis.call('HSET', KEYS[1], 'rate', string.format('%.9f', to), 'at', ARGV[1])
return { string.format('%.9f', from), string.format('%.9f', to) }
