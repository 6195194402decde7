-- Hands a claimed step out: its message may be published, and taken once.
--
-- A step whose last hand-out nobody has taken yet keeps its fence: whichever message arrives first is the one.
-- The job does not wait for a timekeeper any more (unpark).
--
-- KEYS 1 record (hash)   2 due (zset)
-- ARGV 1 id   2 step   3 the due time that the claim has set, or '' for a step that was not claimed
-- Returns 1, or 0 when the step has passed in the meantime, or somebody has it since the claim: a timekeeper that slept
-- must not hand a running step to a second worker. (An entry without a record is dropped.)

local record = redis.call('HMGET', KEYS[1], 'step', 'fence', 'begun')
if not record[1] then
  redis.call('ZREM', KEYS[2], ARGV[1])
  return 0
end
if record[1] ~= ARGV[2] then
  return 0
end
if ARGV[3] ~= '' and tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]) or '0') ~= tonumber(ARGV[3]) then
  return 0
end
local begun = tonumber(record[3]) or 0
if begun >= (tonumber(record[2]) or 0) then
  redis.call('HSET', KEYS[1], 'fence', begun + 1)
end
unpark(KEYS[1], ARGV[2])
return 1
