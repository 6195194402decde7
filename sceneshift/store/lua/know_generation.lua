-- The store's identity, made when it has none.
--
-- KEYS 1 generation (hash)
-- ARGV 1 an identity for a store that has none   2 now
-- Returns the identity that counts.

if redis.call('HSETNX', KEYS[1], 'id', ARGV[1]) == 1 then
  redis.call('HSET', KEYS[1], 'made_at', ARGV[2])
end
return redis.call('HGET', KEYS[1], 'id')
