-- One submission's permit: may it be sent now, or when, or what stops it? Reserves the moment that it is told.
--
-- The rate is kept as the time of the next free moment (the generic cell rate algorithm with a burst of one), so that
-- a permit is a moment, and each caller gets one of its own. After a throttled answer moments lie further apart, and
-- come together again with time: each is set by the rate that will hold then. A second such time runs behind what is
-- really sent: moments that are used late and all at once, or were given by a higher limit, are void beyond a second's.
-- A stored time that lies further ahead than it can was written before a clock was set back, and counts for nothing.
--
-- KEYS 1 rate:submit (string)   2 jobs:submitting (zset)   3 jobs:rendering (zset)   4 who waits for a slot (zset)
--      5 limits (hash)   6 pace:submit (hash)   7 breaker (hash)   8 rate:sent (string)
--      9 lost submissions (zset)
-- ARGV 1 now   2 the setting submit_rate, '' without limit   3 the setting max_in_flight, '' without limit
--      4 job   5 seconds after which one that waits for a slot is forgotten   6 '1': the job holds a moment, this one
--      7 share of the limit by which a lowered rate grows in a second   8 seconds after which a probe is taken for lost
--      9 what lies so many seconds ahead is now   10 '1': the job has a slot   11 the least that is left of the limit
--      12 seconds for which a clock that was set back is waited   13 the longest patience of the provider's (seconds)
--      14 the longest queue of moments (seconds)
-- Returns {'full'} when there is no slot; {'blocked', why, when the next probe is due, when the next question is due}
-- when the breaker is open; and otherwise {'go', the moment (seconds, as text), '1' for the breaker's probe}.

local now = tonumber(ARGV[1])

local function limit(name, setting)
  return tonumber(redis.call('HGET', KEYS[5], name) or setting)
end

local function keep(key, time)
  redis.call('SET', key, string.format('%.6f', time), 'PX', math.ceil(math.max(0, time - now) * 1000) + 1000)
end

local breaker = redis.call('HMGET', KEYS[7], 'reason', 'next', 'question_at', 'probe', 'probed_at')
local is_probe = breaker[1] and true or false
if is_probe and now < tonumber(breaker[2]) then
  -- The same call again, because its answer was lost, has the probe that it was given.
  local is_repeated = breaker[4] == ARGV[4] and breaker[5] == ARGV[1]
  if not is_repeated then
    return { 'blocked', breaker[1], breaker[2], breaker[3] }
  end
end

local slots = limit('max_in_flight', ARGV[3])
local function taken_slots()
  local lost = redis.call('ZCOUNT', KEYS[9], '(' .. ARGV[1], '+inf')
  return redis.call('ZCARD', KEYS[2]) + redis.call('ZCARD', KEYS[3]) + lost
end
if slots and ARGV[10] ~= '1' and taken_slots() >= slots then
  redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', ARGV[1])
  redis.call('ZADD', KEYS[4], now + tonumber(ARGV[5]), ARGV[4])
  return { 'full' }
end
redis.call('ZREM', KEYS[4], ARGV[4])
if is_probe then
  local next_probe = string.format('%.6f', now + tonumber(ARGV[8]))
  redis.call('HSET', KEYS[7], 'probe', ARGV[4], 'probed_at', ARGV[1], 'next', next_probe)
end

local rate = limit('submit_rate', ARGV[2])
if not rate then
  return { 'go', ARGV[1], is_probe and '1' or '0' }
end
local lowest, set_back = rate * tonumber(ARGV[11]), tonumber(ARGV[12])
local function believed(text, seconds_ahead)
  local time = tonumber(text or '0')
  return time <= now + seconds_ahead and time or 0
end
local pace = redis.call('HMGET', KEYS[6], 'rate', 'at', 'not_before')
local lowered_at = believed(pace[2], set_back)
local function interval_at(time)
  if lowered_at == 0 then
    return 1 / rate
  end
  local grown = tonumber(pace[1]) + rate * tonumber(ARGV[7]) * math.max(0, time - lowered_at)
  return 1 / math.max(lowest, math.min(rate, grown))
end

local not_before = believed(pace[3], tonumber(ARGV[13]) + set_back)
local sent = math.max(now, believed(redis.call('GET', KEYS[8]), 1 + 2 / lowest + set_back))
local is_good = ARGV[6] == '1' and now >= not_before and sent - now <= 1 + interval_at(now)
local free, moment = believed(redis.call('GET', KEYS[1]), tonumber(ARGV[14])), now
if is_probe then
  -- Nobody uses the moments that were reserved before the breaker opened: the probe goes now.
  free = math.max(free, now + interval_at(now))
  keep(KEYS[1], free)
elseif not is_good then
  moment = math.max(now, not_before, free, sent - 1)
  keep(KEYS[1], moment + interval_at(moment))
end
if moment <= now + tonumber(ARGV[9]) then
  keep(KEYS[8], sent + interval_at(now))
end
return { 'go', string.format('%.6f', moment), is_probe and '1' or '0' }
