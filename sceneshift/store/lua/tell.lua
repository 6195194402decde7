-- An event goes into the outbox, once: one that is about no job, or one that its endpoint has never got.
--
-- KEYS 1 delivery (hash)   2 due (zset)
-- ARGV 1 id   2 due at   3… field, value, …
-- Returns 1, or 0 when it was there already.

if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
return 1
