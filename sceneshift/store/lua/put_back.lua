-- A worker that has taken a step, and finds that it does not understand what it is about, was never at it.
--
-- KEYS 1 record (hash)   2 due (zset)   3 unknown records (zset)
-- ARGV 1 id   2 step   3 fence   4 due at   5 now   6 what was seen before this is forgotten
-- Returns 1 when put back, 0 when the lease was lost.

redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', ARGV[6])
redis.call('ZADD', KEYS[3], ARGV[5], ARGV[1])
local record = redis.call('HMGET', KEYS[1], 'step', 'fence', 'begun', 'starts')
if record[1] ~= ARGV[2] or record[2] ~= ARGV[3] or record[3] ~= ARGV[3] then
  return 0
end
local begun, starts = tonumber(record[3]) - 1, (tonumber(record[4]) or 1) - 1
if begun > 0 then
  redis.call('HSET', KEYS[1], 'begun', begun)
else
  redis.call('HDEL', KEYS[1], 'begun')
end
if starts > 0 then
  redis.call('HSET', KEYS[1], 'starts', starts)
else
  redis.call('HDEL', KEYS[1], 'starts', 'starts_since')
end
redis.call('ZADD', KEYS[2], 'XX', ARGV[4], ARGV[1])
return 1
