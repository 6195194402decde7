-- One process at a time merges the intents of the bucket.
--
-- KEYS 1 recovery (hash)
-- ARGV 1 process   2 now   3 until when it claims that
-- Returns 1 when it is this process's turn, 0 when it is another's or recovery mode is off.

local stored = redis.call('HMGET', KEYS[1], 'since', 'claimed_by', 'claimed_until')
if not stored[1] then
  return 0
end
if stored[2] and stored[2] ~= ARGV[1] and tonumber(stored[3]) > tonumber(ARGV[2]) then
  return 0
end
redis.call('HSET', KEYS[1], 'claimed_by', ARGV[1], 'claimed_until', ARGV[3])
return 1
