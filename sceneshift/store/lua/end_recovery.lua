-- Recovery mode is off, and what it was is kept with the store's identity.
--
-- KEYS 1 recovery (hash)   2 generation (hash)
-- ARGV 1 now   2 by   3 note   4 how often it may have been begun; '' for however often   5 token
-- Returns 'ended', 'off' when it was not on, or 'again' when somebody found more since. The same call (token) again is
-- 'ended' again.

local mode = redis.call('HMGET', KEYS[1], 'since', 'reason', 'by', 'begins')
if not mode[1] then
  local last = redis.call('HGET', KEYS[2], 'last_recovery')
  if last and cjson.decode(last).token == ARGV[5] then
    return 'ended'
  end
  return 'off'
end
if ARGV[4] ~= '' and mode[4] ~= ARGV[4] then
  return 'again'
end
local merged = {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 7) == 'merged:' then
    merged[string.sub(fields[i], 8)] = cjson.decode(fields[i + 1])
  end
end
redis.call('HSET', KEYS[2], 'last_recovery', cjson.encode({
  since = mode[1],
  reason = mode[2],
  begun_by = mode[3],
  ended_at = ARGV[1],
  ended_by = ARGV[2],
  note = ARGV[3],
  merged = merged,
  token = ARGV[5],
}))
redis.call('DEL', KEYS[1])
return 'ended'
