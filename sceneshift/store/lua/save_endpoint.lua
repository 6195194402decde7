-- One change to the list of named endpoints: made on the list as its author has seen it, or not at all.
--
-- KEYS 1 endpoints (hash)   2 endpoints:version (string)
-- ARGV 1 the version that was seen   2 endpoint id   3 its document, '' removes it
-- Returns the new version, or 0 when somebody has changed the list meanwhile.

if (redis.call('GET', KEYS[2]) or '0') ~= ARGV[1] then
  return 0
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[2])
else
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
end
return redis.call('INCR', KEYS[2])
