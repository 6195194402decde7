-- One of many processes looks at the lanes that are not well: whoever asks first when it is time.
--
-- KEYS 1 the last look (string)
-- ARGV 1 now   2 so many seconds lie between two looks   3 ttl in milliseconds
-- Returns 1 for the one that looks, or 0. A clock that was set back delays nothing.

local now, last = tonumber(ARGV[1]), tonumber(redis.call('GET', KEYS[1]) or '')
if last and last <= now and now - last < tonumber(ARGV[2]) then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1
