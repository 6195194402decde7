-- Renews the lease of a step that a live worker is at, unless the step has passed or was given to somebody else.
--
-- KEYS 1 record (hash)   2 due (zset)
-- ARGV 1 id   2 step   3 fence   4 lease until
-- Returns 1 when renewed, 0 when the lease is lost.

local record = redis.call('HMGET', KEYS[1], 'step', 'fence', 'begun')
if record[1] ~= ARGV[2] or record[2] ~= ARGV[3] or record[3] ~= ARGV[3] then
  return 0
end
redis.call('ZADD', KEYS[2], 'XX', ARGV[4], ARGV[1])
return 1
