-- Moves the due time of a claimed step that nobody has taken, and says on the job's record what it waits for, unless
-- the step has passed in the meantime.
--
-- The mark is no transition: the revision stays, so that no worker's compare-and-set fails because of it. `parked`
-- keeps what the step itself had marked, for unpark.
--
-- KEYS 1 record (hash)   2 due (zset)
-- ARGV 1 id   2 step   3 due at   4 what it waits for, or '' to leave the marks as they are   5 until when
-- Returns 1 when moved, 0 when the step has passed or a worker is at it.

local record = redis.call('HMGET', KEYS[1], 'step', 'fence', 'begun', 'parked', 'blocked_by', 'blocked_until')
if record[1] ~= ARGV[2] then
  return 0
end
local begun = tonumber(record[3]) or 0
if begun > 0 and begun >= (tonumber(record[2]) or 0) then
  return 0
end
redis.call('ZADD', KEYS[2], 'XX', ARGV[3], ARGV[1])
if ARGV[4] == '' then
  return 1
end

local own = (record[5] or '') .. ' ' .. (record[6] or '')
local parked_step, word, beneath = string.match(record[4] or '', '^(%S*) (%S*) (%S* %S*)$')
if parked_step == ARGV[2] and word == record[5] then
  own = beneath
end
redis.call(
  'HSET', KEYS[1],
  'blocked_by', ARGV[4], 'blocked_until', ARGV[5],
  'parked', ARGV[2] .. ' ' .. ARGV[4] .. ' ' .. own
)
return 1
