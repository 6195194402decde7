-- What somebody has merged is noted, as long as recovery mode is on; what the same one merged before is added to it.
--
-- KEYS 1 recovery (hash)
-- ARGV 1 field   2 now   3 token   4 intents   5 held   6 restored   7 unclaimed   8 unknown
-- The same call (token) again changes nothing.

if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
local text = redis.call('HGET', KEYS[1], ARGV[1])
local before = text and cjson.decode(text) or { held = 0, restored = 0, unclaimed = 0 }
if before.token == ARGV[3] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode({
  at = tonumber(ARGV[2]),
  token = ARGV[3],
  intents = tonumber(ARGV[4]),
  held = before.held + ARGV[5],
  restored = before.restored + ARGV[6],
  unclaimed = before.unclaimed + ARGV[7],
  unknown = tonumber(ARGV[8]),
}))
return 1
