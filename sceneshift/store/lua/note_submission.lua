-- What a submission tells the breaker: it opens, closes, or waits longer for its next probe.
--
-- KEYS 1 breaker (hash): reason, since, next (probe), pause, question_at, failing_since, probe, probed_at;
--        while it is closed, failures and last
-- ARGV 1 now   2 verdict: 'works', 'answers' (it refused for a reason of the job's own), 'unclear', or why it cannot
--      work now   3 job   4 what is unique to this submission   5 the reason of an outage
--      6 failures in a row that mean an outage   7 first pause of an outage   8 the longest   9 pause of other reasons
--      10 pause while questions fail too
-- Returns 'opened', 'closed', 'failed' (the probe did) or ''.

local now, verdict, outage = tonumber(ARGV[1]), ARGV[2], ARGV[5]
local state = redis.call('HMGET', KEYS[1], 'reason', 'failures', 'last', 'probe', 'pause', 'failing_since')
local reason = state[1]
local is_reason = verdict ~= 'works' and verdict ~= 'answers' and verdict ~= 'unclear'

local function after(seconds)
  return string.format('%.6f', now + tonumber(seconds))
end

local function open()
  local pause = verdict == outage and ARGV[7] or ARGV[9]
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'reason', verdict, 'since', ARGV[1], 'pause', pause, 'next', after(pause),
    'question_at', ARGV[1])
  return 'opened'
end

if not reason then
  if verdict == 'works' and state[2] then
    redis.call('DEL', KEYS[1])
  elseif verdict == outage and state[3] ~= ARGV[4] then
    local failures = tonumber(state[2] or '0') + 1
    if failures >= tonumber(ARGV[6]) then
      return open()
    end
    redis.call('HSET', KEYS[1], 'failures', failures, 'last', ARGV[4])
  elseif is_reason and verdict ~= outage then
    return open()
  end
  return ''
end

if is_reason and verdict ~= outage and verdict ~= reason then
  return open()
end
local is_probe = state[4] == ARGV[3]
if verdict == 'works' and (is_probe or reason == outage) then
  redis.call('DEL', KEYS[1])
  return 'closed'
end
-- Others were sent before it opened: what came of them is known.
if not is_probe then
  return ''
end
if verdict == 'answers' or (verdict == 'unclear' and reason == outage) then
  redis.call('DEL', KEYS[1])
  return 'closed'
end
redis.call('HDEL', KEYS[1], 'probe')
local pause = tonumber(ARGV[9])
if reason == outage then
  pause = math.min(tonumber(ARGV[8]), tonumber(state[5]) * 2)
end
redis.call('HSET', KEYS[1], 'pause', pause,
  'next', after(reason == outage and state[6] and ARGV[10] or pause))
return 'failed'
