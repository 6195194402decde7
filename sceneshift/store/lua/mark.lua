-- Writes something, so that the disk can be waited for: what was written before it is on disk when this is.
--
-- KEYS 1 mark (string)
-- ARGV 1 now
-- Returns 1.

redis.call('SET', KEYS[1], ARGV[1])
return 1
