-- One submission's permit: may it be sent now, or when? Reserves the moment that it is told.
--
-- The rate is kept as the time of the next free moment (the generic cell rate algorithm with a burst of one), so that
-- a permit is a moment, and each caller gets one of its own.
--
-- KEYS 1 rate (string)   2 jobs:submitting (zset)   3 jobs:rendering (zset)   4 those that wait for a slot (zset)
-- ARGV 1 now   2 seconds between two submissions, '' without limit   3 submissions in flight, '' without limit
--      4 job   5 seconds after which one that waits for a slot is forgotten
-- Returns 'full' when there is no slot, and otherwise the moment (seconds, as text), which is now or later.

if ARGV[3] ~= '' and redis.call('ZCARD', KEYS[2]) + redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[3]) then
  redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', ARGV[1])
  redis.call('ZADD', KEYS[4], tonumber(ARGV[1]) + tonumber(ARGV[5]), ARGV[4])
  return 'full'
end
redis.call('ZREM', KEYS[4], ARGV[4])
if ARGV[2] == '' then
  return ARGV[1]
end
local now, interval = tonumber(ARGV[1]), tonumber(ARGV[2])
local moment = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0'))
local idle_milliseconds = math.ceil((moment + interval - now) * 1000) + 1000
redis.call('SET', KEYS[1], string.format('%.6f', moment + interval), 'PX', idle_milliseconds)
return string.format('%.6f', moment)
