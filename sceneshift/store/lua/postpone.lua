-- Moves the due time of a claimed step that nobody has taken, unless the step has passed in the meantime.
--
-- KEYS 1 record (hash)   2 due (zset)
-- ARGV 1 id   2 step   3 due at
-- Returns 1 when moved, 0 when the step has passed or a worker is at it.

local record = redis.call('HMGET', KEYS[1], 'step', 'fence', 'begun')
if record[1] ~= ARGV[2] then
  return 0
end
local begun = tonumber(record[3]) or 0
if begun > 0 and begun >= (tonumber(record[2]) or 0) then
  return 0
end
redis.call('ZADD', KEYS[2], 'XX', ARGV[3], ARGV[1])
return 1
