-- Keeps the text of an answer, of so many jobs at the most, so that a broken provider fills no store.
--
-- KEYS 1 text (string)   2 the keys of all kept texts, by when they were kept (zset)
-- ARGV 1 text   2 ttl in milliseconds   3 how many are kept   4 'newest' or 'first': who stays when there are more,
--      and when the job has a text already
-- Returns 1 when the text is kept, 0 when it is not.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now - tonumber(ARGV[2]) * 1000))
if ARGV[4] == 'first' then
  if redis.call('EXISTS', KEYS[1]) == 1 or redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) then
    return 0
  end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('ZADD', KEYS[2], string.format('%.0f', now), KEYS[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
local excess = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[3])
if excess > 0 then
  local oldest = redis.call('ZPOPMIN', KEYS[2], excess)
  for index = 1, #oldest, 2 do
    redis.call('DEL', oldest[index])
  end
end
return 1
