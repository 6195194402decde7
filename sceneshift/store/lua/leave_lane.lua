-- A worker that was let into a lane has no thread for it after all: its place is free, and the step is as if nobody had
-- taken it. It waits in the lane, of which only the first is looked at soon: while all threads wait for endpoints that do
-- not answer, the events of those must not keep the workers busy.
--
-- KEYS 1 delivery (hash)   2 due (zset)   3 the lane's running ones (zset)   4 its waiting ones (zset)
--      5 its missed ones (zset)   6 its retrying ones (zset)
-- ARGV 1 id   2 step   3 fence   4 occurred_at   5 due at   6 look again at (a net, for one that waits)
--      7 leased until (of any step that begins now)
-- Returns 1, or 0 when the lease is lost.

local record = redis.call('HMGET', KEYS[1], 'step', 'fence', 'begun', 'starts')
if record[1] ~= ARGV[2] or record[2] ~= ARGV[3] or record[3] ~= ARGV[3] then
  return 0
end
redis.call('ZREM', KEYS[3], ARGV[1])
local starts = (tonumber(record[4]) or 1) - 1
if starts > 0 then
  redis.call('HSET', KEYS[1], 'starts', starts)
else
  redis.call('HDEL', KEYS[1], 'starts', 'starts_since')
end
redis.call('HSET', KEYS[1], 'fence', record[2] + 1, 'begun', record[2] + 1)
if redis.call('ZSCORE', KEYS[5], ARGV[1]) then
  redis.call('ZADD', KEYS[2], 'XX', ARGV[5], ARGV[1])
  return 1
end
redis.call('ZADD', KEYS[4], ARGV[4], ARGV[1])
redis.call('ZREM', KEYS[6], ARGV[1])
redis.call('ZADD', KEYS[2], 'XX', ARGV[6], ARGV[1])
wake(KEYS[2], KEYS[4], 1, tonumber(ARGV[5]), tonumber(ARGV[7]))
return 1
