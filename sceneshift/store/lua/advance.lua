-- One transition of a job: a compare-and-set on (state, step, revision) that moves the record, its due time, the state
-- index, the outbox and the timeline together, or does nothing.
--
-- KEYS 1 job (hash)   2 order (string)   3 results (string)   4 timeline (list)   5 due (zset)
--      6 jobs:FROM (zset)   7 jobs:TO (zset)   8 idempotency key, or the job's own key   9 jobs:rendering (zset)
--      10… delivery keys (hash)
-- ARGV 1 change (JSON):
--        id, token, from {state, step, revision}, to, now,
--        set {field: text}, unset [field], results (text, '' deletes, absent leaves),
--        due (text, '' removes, absent leaves), timeline [text], channel,
--        deliveries [[field, text, …]] in the order of KEYS 10…,
--        slots (present for an intent: so many jobs may be at the provider),
--        ttl_milliseconds (present when final), release_key (boolean)
-- Returns 'applied', 'stale', 'forbidden' or 'full' (no slot). The same change (token) again is 'applied' again and changes nothing.

local ALLOWED = {
  queued = { queued = 1, submitting = 1, needs_attention = 1, failed = 1, cancelled = 1 },
  submitting = { queued = 1, submitting = 1, needs_attention = 1, rendering = 1, failed = 1, cancelled = 1 },
  needs_attention = { needs_attention = 1, queued = 1, rendering = 1, failed = 1, cancelled = 1 },
  rendering = { rendering = 1, storing = 1, needs_attention = 1, failed = 1, cancelled = 1 },
  storing = { storing = 1, needs_attention = 1, succeeded = 1, partial = 1, failed = 1, cancelled = 1 },
  succeeded = {},
  partial = {},
  failed = {},
  cancelled = {},
}

local change = cjson.decode(ARGV[1])
local stored = redis.call('HMGET', KEYS[1], 'state', 'step', 'revision', 'token')
if stored[4] and stored[4] == change.token then
  return 'applied'
end
local from = change.from
if stored[1] ~= from.state or stored[2] ~= from.step or (stored[3] or '0') ~= from.revision then
  return 'stale'
end
if not ALLOWED[from.state][change.to] then
  return 'forbidden'
end

if change.slots and redis.call('ZCARD', KEYS[7]) + redis.call('ZCARD', KEYS[9]) >= change.slots then
  return 'full'
end

local fields = { 'token', change.token }
for name, text in pairs(change.set) do
  fields[#fields + 1] = name
  fields[#fields + 1] = text
end
redis.call('HSET', KEYS[1], unpack(fields))
if #change.unset > 0 then
  redis.call('HDEL', KEYS[1], unpack(change.unset))
end
if change.results == '' then
  redis.call('DEL', KEYS[3])
elseif change.results then
  redis.call('SET', KEYS[3], change.results)
end
if change.due == '' then
  redis.call('ZREM', KEYS[5], change.id)
elseif change.due then
  redis.call('ZADD', KEYS[5], change.due, change.id)
end
if change.to ~= from.state then
  redis.call('ZREM', KEYS[6], change.id)
  redis.call('ZADD', KEYS[7], change.now, change.id)
end

for i, delivery in ipairs(change.deliveries) do
  redis.call('HSET', KEYS[9 + i], unpack(delivery))
  redis.call('ZADD', KEYS[5], change.delivery_due, delivery[2])
end
for _, entry in ipairs(change.timeline) do
  redis.call('RPUSH', KEYS[4], entry)
  redis.call('PUBLISH', change.channel, entry)
end

local has_key = KEYS[8] ~= KEYS[1]
if change.ttl_milliseconds then
  for i = 1, 4 do
    redis.call('PEXPIRE', KEYS[i], change.ttl_milliseconds)
  end
  if has_key and redis.call('GET', KEYS[8]) == change.id then
    if change.release_key then
      redis.call('DEL', KEYS[8])
    else
      redis.call('PEXPIRE', KEYS[8], change.ttl_milliseconds)
    end
  end
end
return 'applied'
