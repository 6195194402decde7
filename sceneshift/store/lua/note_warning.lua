-- Somebody has told of a threshold that a failing endpoint has crossed: nobody else does, and it is counted.
--
-- KEYS 1 lane (hash)   2 counts (hash)
-- ARGV 1 since when the endpoint fails   2 the threshold, in percent
-- Returns 1, or 0 when it was told before, or the endpoint has not been failing since then.

local known = redis.call('HMGET', KEYS[1], 'failing_since', 'warned')
if known[1] ~= ARGV[1] or tonumber(known[2] or '0') >= tonumber(ARGV[2]) then
  return 0
end
redis.call('HSET', KEYS[1], 'warned', ARGV[2])
redis.call('HINCRBY', KEYS[2], 'warned:' .. ARGV[2], 1)
return 1
