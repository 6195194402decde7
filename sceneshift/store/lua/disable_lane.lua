-- A person says that nothing is to be sent to an endpoint until further notice; its events wait.
--
-- KEYS 1 lane (hash)   2 lanes:failing (zset)
-- ARGV 1 lane id   2 now   3… field, value, … that say which endpoint it is
-- Returns 1 when it was not disabled before.

if redis.call('HGET', KEYS[1], 'status') == 'disabled' then
  return 0
end
redis.call('HSET', KEYS[1], 'status', 'disabled', 'disabled_at', ARGV[2], 'disabled_by', 'operator', unpack(ARGV, 3))
redis.call('HDEL', KEYS[1], 'catching_up', 'next_at', 'probe_at', 'probes')
redis.call('PERSIST', KEYS[1])
redis.call('ZADD', KEYS[2], 'NX', ARGV[2], ARGV[1])
return 1
