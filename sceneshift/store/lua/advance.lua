-- One transition of a job: a compare-and-set on (state, step, revision) that moves the record, its due time, the state
-- index, the outbox, the timeline and the ledger together, or does nothing.
--
-- KEYS 1 job (hash)   2 order (string)   3 results (string)   4 timeline (list)   5 due (zset)
--      6 jobs:FROM (zset)   7 jobs:TO (zset)   8 idempotency key, or the job's own key   9 jobs:rendering (zset)
--      10 limits (hash)   11 recovery (hash)   12 witnesses (hash)   13 outcomes of this minute (hash)
--      14 decisions of this day (list)   15, 16 result keys of this day and the day before (hash)
--      17 the ledger's day of the submission left (hash)   18 of the one that counts now
--      19 jobs:submitting (zset)   20 who waits for a slot (zset)   21 lost submissions (zset)   22 events (stream)
--      23 endpoints:version (string)   24… delivery keys (hash), and the ledger's day of an unclaimed key
-- ARGV 1 change (JSON):
--        id, token, from {state, step, revision}, to, now,
--        set {field: text}, unset [field], results (text, '' deletes, absent leaves),
--        due (text, '' removes, absent leaves), timeline [text], channel,
--        events [{at (unix milliseconds), about [field, text, …]}], events_since (milliseconds: older ones are dropped),
--        deliveries [[field, text, …]] in the order of KEYS 24…, endpoints (the version of the list of named endpoints
--        by which they were addressed; present when there are events),
--        slots (the setting: how many jobs may be at the provider; absent without limit),
--        intent {takes_slot, witness, count} for an intent, ends_unpaid (boolean: a job ends that was never sent,
--        as far as is known here),
--        result_key (a digest, present when the job gets one), unclaimed {key, images} when that stands in the ledger as
--        unclaimed, on the day that is the key of this number, outcome ('sent' or 'unknown'),
--        lost {submission, until}, found (a submission that was lost), claim_until (of a job that waits for a slot),
--        ledger [[17 or 18, field, by how many]], decision (text), ledger_ttl_milliseconds,
--        ttl_milliseconds (present when final), release_key, revives (booleans)
-- Returns 'applied', 'stale', 'forbidden', 'endpoints' (the list has changed), 'full' (no slot), 'recovering', 'rolled_back' (this server has forgotten an
-- intent of this very worker), 'taken:ID' (that job has the result key) or 'unclaimed:DAY' (it stands in the ledger of
-- that day: the change must say what becomes of that). The same change (token) again is 'applied' again and changes
-- nothing.

local ALLOWED = {
  queued = { queued = 1, submitting = 1, needs_attention = 1, storing = 1, failed = 1, cancelled = 1 },
  submitting = { queued = 1, submitting = 1, needs_attention = 1, rendering = 1, storing = 1, failed = 1, cancelled = 1 },
  needs_attention = { needs_attention = 1, queued = 1, rendering = 1, storing = 1, failed = 1, cancelled = 1 },
  rendering = { rendering = 1, storing = 1, needs_attention = 1, failed = 1, cancelled = 1 },
  storing = { storing = 1, needs_attention = 1, succeeded = 1, partial = 1, failed = 1, cancelled = 1 },
  succeeded = { succeeded = 1 },
  partial = { partial = 1 },
  failed = { failed = 1, queued = 1, rendering = 1 },
  cancelled = { cancelled = 1 },
}
local THREE_DAYS = 3 * 86400000
local TEN_MINUTES = 600000

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
if change.endpoints and (redis.call('GET', KEYS[23]) or '0') ~= change.endpoints then
  return 'endpoints'
end

local slots = tonumber(redis.call('HGET', KEYS[10], 'max_in_flight') or change.slots)
local function taken_slots()
  local lost = redis.call('ZCOUNT', KEYS[21], '(' .. change.now, '+inf')
  return redis.call('ZCARD', KEYS[19]) + redis.call('ZCARD', KEYS[9]) + lost
end

local intent = change.intent
if (intent or change.ends_unpaid) and redis.call('EXISTS', KEYS[11]) == 1 then
  return 'recovering'
end
if intent then
  if intent.witness and tonumber(redis.call('HGET', KEYS[12], intent.witness) or '0') < intent.count then
    return 'rolled_back'
  end
  if intent.takes_slot and slots and taken_slots() >= slots then
    return 'full'
  end
end
if change.result_key then
  local owner = redis.call('HGET', KEYS[15], change.result_key) or redis.call('HGET', KEYS[16], change.result_key)
  local own = string.sub(change.id, 5)
  local owner_id, unclaimed_on = string.match(owner or '', '^(%w*)%+?(.*)$')
  if owner and owner_id ~= own then
    return 'taken:job_' .. owner_id
  end
  if unclaimed_on ~= '' and not change.unclaimed then
    return 'unclaimed:' .. unclaimed_on
  end
  redis.call('HSET', KEYS[15], change.result_key, own)
  redis.call('PEXPIRE', KEYS[15], THREE_DAYS)
end
if intent and intent.witness then
  redis.call('HINCRBY', KEYS[12], intent.witness, 1)
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
  redis.call('ZREM', KEYS[20], change.id)
  redis.call('ZREM', KEYS[6], change.id)
  redis.call('ZADD', KEYS[7], change.now, change.id)
end

-- A submission whose answer is lost may be at the provider, whatever becomes of its job here.
if change.lost then
  redis.call('ZREMRANGEBYSCORE', KEYS[21], '-inf', change.now)
  redis.call('ZADD', KEYS[21], change.lost['until'], change.lost.submission)
elseif change.found then
  redis.call('ZREM', KEYS[21], change.found)
end

-- Whoever waits for a slot is looked at when there is one: as many as there are slots, those first that asked first.
local AT_PROVIDER = { submitting = true, rendering = true }
if slots and AT_PROVIDER[from.state] and not AT_PROVIDER[change.to] then
  redis.call('ZREMRANGEBYSCORE', KEYS[20], '-inf', change.now)
  local free = slots - taken_slots()
  if free > 0 then
    local waiting = redis.call('ZRANGE', KEYS[20], 0, free - 1)
    for _, id in ipairs(waiting) do
      redis.call('ZADD', KEYS[5], 'XX', change.now, id)
      redis.call('ZREM', KEYS[20], id)
    end
  end
end

-- A job that was told that there is no slot waits for one from now on, unless one has become free since.
if change.claim_until and slots then
  if taken_slots() >= slots then
    redis.call('ZADD', KEYS[20], change.claim_until, change.id)
  else
    redis.call('ZADD', KEYS[5], 'XX', change.now, change.id)
    redis.call('ZREM', KEYS[20], change.id)
  end
end

-- An event's place in the log is its moment and its number. Numbers have no gaps, so that whoever reads on sees what it
-- has missed; the moment never goes back, whatever the clocks say, and then the event's own stands beside it.
for _, event in ipairs(change.events) do
  local last = redis.call('XREVRANGE', KEYS[22], '+', '-', 'COUNT', 1)[1]
  local moment, number = string.match(last and last[1] or '0-0', '^(%d+)%-(%d+)$')
  local at = math.max(event.at, tonumber(moment))
  if at ~= event.at then
    event.about[#event.about + 1] = 'at'
    event.about[#event.about + 1] = string.format('%.0f', event.at)
  end
  local place = string.format('%.0f-%.0f', at, tonumber(number) + 1)
  redis.call('XADD', KEYS[22], 'MINID', '~', change.events_since, place, unpack(event.about))
end
for i, delivery in ipairs(change.deliveries) do
  redis.call('HSET', KEYS[23 + i], unpack(delivery))
  redis.call('ZADD', KEYS[5], change.delivery_due, delivery[2])
end
for _, entry in ipairs(change.timeline) do
  redis.call('RPUSH', KEYS[4], entry)
  redis.call('PUBLISH', change.channel, entry)
end

-- The job goes on under the key of a submission that it had left behind: what is unknown is the later one.
if change.unclaimed then
  for unit, count in pairs({ submissions = 1, images = change.unclaimed.images }) do
    redis.call('HINCRBY', KEYS[change.unclaimed.key], 'charged:superseded:' .. unit, -count)
    redis.call('HINCRBY', KEYS[change.unclaimed.key], 'unknown:superseded:' .. unit, count)
  end
end
for _, move in ipairs(change.ledger) do
  redis.call('HINCRBY', KEYS[move[1]], move[2], move[3])
  redis.call('PEXPIRE', KEYS[move[1]], change.ledger_ttl_milliseconds)
end
if change.decision then
  redis.call('RPUSH', KEYS[14], change.decision)
  redis.call('PEXPIRE', KEYS[14], change.ledger_ttl_milliseconds)
end
if change.outcome then
  redis.call('HINCRBY', KEYS[13], change.outcome, 1)
  redis.call('PEXPIRE', KEYS[13], TEN_MINUTES)
end

local has_key = KEYS[8] ~= KEYS[1]
if change.revives then
  for i = 1, 4 do
    redis.call('PERSIST', KEYS[i])
  end
  if has_key then
    redis.call('SET', KEYS[8], change.id, 'NX')
    if redis.call('GET', KEYS[8]) == change.id then
      redis.call('PERSIST', KEYS[8])
    end
  end
end
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
