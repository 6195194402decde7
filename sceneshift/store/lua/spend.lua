-- May the policy have so many images rendered again? Counts them when it may.
--
-- KEYS 1 images resubmitted on this day (string)   2… outcomes of the last minutes (hash)
-- ARGV 1 images   2 budget of a day   3 the largest share of unknown outcomes   4 fewer unknown ones are no incident
-- Returns 'granted', 'budget' or 'incident'.

local sent, unknown = 0, 0
for i = 2, #KEYS do
  local counts = redis.call('HMGET', KEYS[i], 'sent', 'unknown')
  sent = sent + (tonumber(counts[1]) or 0)
  unknown = unknown + (tonumber(counts[2]) or 0)
end
if unknown >= tonumber(ARGV[4]) and unknown > sent * tonumber(ARGV[3]) then
  return 'incident'
end
local images = tonumber(ARGV[1])
if tonumber(redis.call('GET', KEYS[1]) or '0') + images > tonumber(ARGV[2]) then
  return 'budget'
end
redis.call('INCRBY', KEYS[1], images)
redis.call('PEXPIRE', KEYS[1], 2 * 86400000)
return 'granted'
