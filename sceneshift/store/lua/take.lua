-- Permits of a rate for right now: as many of those asked for as there are. Nothing is reserved.
--
-- KEYS 1 rate (string): the time up to which permits are spent   2 limits (hash)   3 pace of the endpoint (hash)
-- ARGV 1 now   2 the limit's name   3 its setting, '' without limit   4 the share of the rate that is had here
--      5 seconds of a pause that may be made up for at once (one permit in any case)   6 how many are wanted
--      7 share of the limit by which a lowered rate grows in a second   8 the least that is left of the limit
--      9 seconds for which a clock that was set back is waited: what lies further ahead than it can counts for nothing
-- Returns how many were taken, and the seconds until the next (as text).

local now, wanted = tonumber(ARGV[1]), tonumber(ARGV[6])
local rate = tonumber(redis.call('HGET', KEYS[2], ARGV[2]) or ARGV[3])
if not rate then
  return { wanted, '0' }
end
local lowest, set_back = rate * tonumber(ARGV[8]), tonumber(ARGV[9])
local pace = redis.call('HMGET', KEYS[3], 'rate', 'at')
if pace[1] and tonumber(pace[2]) <= now + set_back then
  local grown = tonumber(pace[1]) + rate * tonumber(ARGV[7]) * math.max(0, now - tonumber(pace[2]))
  rate = math.max(lowest, math.min(rate, grown))
end
local share, burst_seconds = tonumber(ARGV[4]), tonumber(ARGV[5])
rate = rate * share
local interval = 1 / rate
local burst = math.max(1, math.ceil(rate * burst_seconds))
local spent = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0'))
if spent - now > burst_seconds + 1 / (lowest * share) + set_back then
  spent = now
end
-- A thousandth of an interval forgives what rounding took.
local free = math.floor((now - spent) / interval + burst + 0.001)
local taken = math.max(0, math.min(wanted, free))
if taken > 0 then
  spent = spent + taken * interval
  local idle_milliseconds = math.ceil((spent - now) * 1000) + 1000
  redis.call('SET', KEYS[1], string.format('%.6f', spent), 'PX', idle_milliseconds)
end
return { taken, string.format('%.6f', math.max(0, spent - now - (burst - 1) * interval)) }
