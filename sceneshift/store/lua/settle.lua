-- The outcome of one attempt at a webhook: a compare-and-set on the delivery's step that moves its due time with it.
--
-- KEYS 1 delivery (hash)   2 due (zset)   3 deliveries:exhausted (zset)
-- ARGV 1 id   2 step that was attempted   3 due at ('' when ended)   4 ttl in milliseconds (when ended)
--      5 '1' when it was given up   6 now   7… field, value, …
-- Returns 1 when applied, 0 when the step has passed.

if redis.call('HGET', KEYS[1], 'step') ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], unpack(ARGV, 7))
redis.call('HDEL', KEYS[1], 'fence', 'begun', 'starts', 'starts_since')
if ARGV[3] == '' then
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  if ARGV[5] == '1' then
    redis.call('ZADD', KEYS[3], ARGV[6], ARGV[1])
  end
else
  redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
end
return 1
