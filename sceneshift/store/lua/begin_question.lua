-- One worker of all may ask the provider, while the breaker is open for an outage and the time has come.
--
-- KEYS 1 breaker (hash)
-- ARGV 1 now   2 the reason of an outage   3 seconds after which another worker may ask, if this one does not come back
-- Returns 1 for the caller that asks, and 0 for all others.

local state = redis.call('HMGET', KEYS[1], 'reason', 'question_at')
if state[1] ~= ARGV[2] or tonumber(ARGV[1]) < tonumber(state[2]) then
  return 0
end
redis.call('HSET', KEYS[1], 'question_at', string.format('%.6f', tonumber(ARGV[1]) + tonumber(ARGV[3])))
return 1
