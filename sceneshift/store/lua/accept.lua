-- Accepts a job: all of it is stored, or an existing one is named.
--
-- KEYS 1 idempotency key, or the job's own key when the caller gave none
--      2 job (hash)   3 order (string)   4 timeline (list)   5 due (zset)   6 jobs:queued (zset)
-- ARGV 1 job id   2 order JSON   3 now   4 due at   5 timeline entry   6 changes channel   7… field, value, …
-- Returns the id of the job that the caller gets: this one, or the one that has the idempotency key.

local id = ARGV[1]

if KEYS[1] ~= KEYS[2] then
  local existing = redis.call('GET', KEYS[1])
  if existing and existing ~= id then
    return existing
  end
end
-- The same call again, after its answer was lost on the way.
if redis.call('EXISTS', KEYS[2]) == 1 then
  return id
end

local fields = {}
for i = 7, #ARGV do
  fields[#fields + 1] = ARGV[i]
end
if KEYS[1] ~= KEYS[2] then
  redis.call('SET', KEYS[1], id)
end
redis.call('HSET', KEYS[2], unpack(fields))
redis.call('SET', KEYS[3], ARGV[2])
redis.call('RPUSH', KEYS[4], ARGV[5])
redis.call('ZADD', KEYS[5], ARGV[4], id)
redis.call('ZADD', KEYS[6], ARGV[3], id)
redis.call('PUBLISH', ARGV[6], ARGV[5])
return id
