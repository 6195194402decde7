-- The store's identity, made when it has none.
--
-- KEYS 1 generation (hash)
-- ARGV 1 an identity for a store that has none
-- Returns the identity that counts.

redis.call('HSETNX', KEYS[1], 'id', ARGV[1])
return redis.call('HGET', KEYS[1], 'id')
