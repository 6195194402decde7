-- Counts one odd answer of the provider, among so many different ones at the most; all others share one count.
--
-- KEYS 1 answers (hash)
-- ARGV 1 the answer (JSON)   2 the field of the others   3 how many different ones are counted apart
-- Returns 1 when the answer is counted apart and this is its first time, and otherwise 0.

local function apart()
  if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
    return true
  end
  local others = redis.call('HEXISTS', KEYS[1], ARGV[2])
  return redis.call('HLEN', KEYS[1]) - others < tonumber(ARGV[3])
end

if not apart() then
  redis.call('HINCRBY', KEYS[1], ARGV[2], 1)
  return 0
end
if redis.call('HINCRBY', KEYS[1], ARGV[1], 1) == 1 then
  return 1
end
return 0
