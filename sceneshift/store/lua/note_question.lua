-- Whether the provider answered a question, while the breaker is open for an outage: this decides when a job may probe.
--
-- KEYS 1 breaker (hash)
-- ARGV 1 now   2 '1' when it answered   3 the reason of an outage   4 seconds until the next question
--      5 a silence of so many seconds that ends is the end of an outage, whatever the pause has grown to
--      6 pause while questions fail
-- Returns 'answered' or 'failed' when that is news, and otherwise ''.

local now, is_answered = tonumber(ARGV[1]), ARGV[2] == '1'
local state = redis.call('HMGET', KEYS[1], 'reason', 'since', 'next', 'pause', 'failing_since', 'probe', 'probed_at')
if state[1] ~= ARGV[3] then
  return ''
end
redis.call('HSET', KEYS[1], 'question_at', string.format('%.6f', now + tonumber(ARGV[4])))
local failing_since = state[5] and tonumber(state[5]) or nil
if is_answered == (failing_since == nil) then
  return ''
end
local pause, probed_at = tonumber(state[4]), tonumber(state[7] or state[2])
local next_probe
if is_answered then
  redis.call('HDEL', KEYS[1], 'failing_since')
  local was_away = now - failing_since >= math.min(pause, tonumber(ARGV[5]))
  next_probe = was_away and now or math.max(now, probed_at + pause)
else
  redis.call('HSET', KEYS[1], 'failing_since', ARGV[1])
  next_probe = math.max(now, probed_at) + tonumber(ARGV[6])
end
-- A probe that is out decides for itself.
if not (state[6] and now < tonumber(state[3])) then
  redis.call('HSET', KEYS[1], 'next', string.format('%.6f', next_probe))
end
return is_answered and 'answered' or 'failed'
