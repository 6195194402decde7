-- A webhook is sent once more, under its own id: one that has ended begins its tries anew, and one whose next try is far
-- off has it now. One that waits for its endpoint, or is being sent, is left as it is.
--
-- KEYS 1 delivery (hash)   2 due (zset)   3 deliveries:exhausted (zset)   4 attempts (list)   5 its job (hash)
--      6 its lane's running ones (zset)   7 its waiting ones (zset)   8 its missed ones (zset)
-- ARGV 1 id   2 now   3 due at
-- Returns 'resent', 'hastened', 'under_way', 'waiting', 'job_expired', or 'gone'.

local id, now = ARGV[1], tonumber(ARGV[2])
local record = redis.call('HMGET', KEYS[1], 'status', 'attempts', 'fence', 'begun', 'job_id')
if not record[1] then
  return 'gone'
end
if record[5] ~= '' and redis.call('EXISTS', KEYS[5]) == 0 then
  return 'job_expired'
end
local lease = tonumber(redis.call('ZSCORE', KEYS[6], id) or '0')
if lease > now then
  return 'under_way'
end
if record[1] == 'pending' then
  if redis.call('ZSCORE', KEYS[7], id) then
    return 'waiting'
  end
  -- Settling takes the fence away, so whoever has one was handed out since its last try.
  if record[3] then
    return 'under_way'
  end
  redis.call('ZADD', KEYS[2], ARGV[3], id)
  return 'hastened'
end
redis.call('HSET', KEYS[1], 'status', 'pending', 'attempts_before', record[2] or '0')
redis.call('HDEL', KEYS[1], 'first_attempt_at', 'delivered_at', 'fence', 'begun', 'starts', 'starts_since')
redis.call('PERSIST', KEYS[1])
redis.call('PERSIST', KEYS[4])
redis.call('ZREM', KEYS[3], id)
redis.call('ZREM', KEYS[8], id)
redis.call('ZADD', KEYS[2], ARGV[3], id)
return 'resent'
