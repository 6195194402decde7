-- Permits of a rate for right now: as many of those asked for as there are. Nothing is reserved.
--
-- KEYS 1 rate (string): the time up to which permits are spent
-- ARGV 1 now   2 seconds between two permits   3 how many may be taken at once after a pause   4 how many are wanted
-- Returns how many were taken, and the seconds until the next (as text).

local now, interval = tonumber(ARGV[1]), tonumber(ARGV[2])
local burst, wanted = tonumber(ARGV[3]), tonumber(ARGV[4])
local spent = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0'))
-- A thousandth of an interval forgives what rounding took.
local free = math.floor((now - spent) / interval + burst + 0.001)
local taken = math.max(0, math.min(wanted, free))
if taken > 0 then
  spent = spent + taken * interval
  local idle_milliseconds = math.ceil((spent - now) * 1000) + 1000
  redis.call('SET', KEYS[1], string.format('%.6f', spent), 'PX', idle_milliseconds)
end
return { taken, string.format('%.6f', math.max(0, spent - now - (burst - 1) * interval)) }
