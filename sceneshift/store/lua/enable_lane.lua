-- A person says that an endpoint is to be tried again: what waits, is retried or was missed is one line, which it catches up
-- with by itself.
--
-- KEYS 1 lane (hash)   2 its waiting ones (zset)   3 its missed ones (zset)   4 due (zset)   5 lanes:failing (zset)
--      6 the lane's retrying ones (zset)
-- ARGV 1 lane id   2 now   3 leased until   4 ttl in milliseconds of a healthy lane
-- Returns how many events it has to catch up with.

line_up(KEYS[2], KEYS[3], KEYS[6])
redis.call('HDEL', KEYS[1],
  'failures', 'failing_since', 'probe_at', 'probes', 'warned', 'disabled_at', 'disabled_by', 'catching_up', 'next_at')
redis.call('HSET', KEYS[1], 'status', 'closed')
local waiting = redis.call('ZCARD', KEYS[2])
if waiting == 0 then
  redis.call('ZREM', KEYS[5], ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  return 0
end
redis.call('HSET', KEYS[1], 'catching_up', ARGV[2])
redis.call('PERSIST', KEYS[1])
redis.call('ZADD', KEYS[5], 'NX', ARGV[2], ARGV[1])
wake(KEYS[4], KEYS[2], 1, tonumber(ARGV[2]), tonumber(ARGV[3]))
return waiting
