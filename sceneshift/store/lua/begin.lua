-- A worker takes the current step of a job or a delivery, unless the step has passed or another worker has it.
--
-- Each hand-out of a step (`fence`) can be taken once (`begun`): a duplicate message changes nothing. A job whose
-- message came out of a backlog waits no more (unpark). What a later release wrote, in words that this one does not
-- know, is not taken, and not changed.
--
-- KEYS 1 record (hash)   2 due (zset)   3 begun counters (hash)   4 who waits for a slot (zset)
-- ARGV 1 id   2 step   3 now   4 lease until   5 task whose message this is, or ''   6 how long starts are remembered, in seconds
--      7 the words that are known (JSON: field, word, true)
-- Returns 'missing', 'stale', 'held', or 'unknown' or 'begun' followed by the record's fields and values.

local record = redis.call('HMGET', KEYS[1], 'step', 'fence', 'begun', 'starts', 'starts_since')
if not record[1] then
  return { 'missing' }
end
if record[1] ~= ARGV[2] then
  return { 'stale' }
end
local fence = tonumber(record[2]) or 0
for name, words in pairs(cjson.decode(ARGV[7])) do
  local word = redis.call('HGET', KEYS[1], name)
  if word and name == 'step' then
    word = string.match(word, '^(.*)%-') or ''
  end
  if word and not words[word] then
    local answer = redis.call('HGETALL', KEYS[1])
    table.insert(answer, 1, 'unknown')
    return answer
  end
end
if (tonumber(record[3]) or 0) >= fence then
  return { 'held' }
end

local now = tonumber(ARGV[3])
local starts = tonumber(record[4]) or 0
local since = tonumber(record[5]) or now
if now - since > tonumber(ARGV[6]) then
  starts = 0
  since = now
end
redis.call('HSET', KEYS[1], 'begun', fence, 'starts', starts + 1, 'starts_since', tostring(since))
redis.call('ZADD', KEYS[2], 'XX', ARGV[4], ARGV[1])
-- A slot that becomes free wakes nobody who is awake: that would hand the running step to a second worker.
redis.call('ZREM', KEYS[4], ARGV[1])
if ARGV[5] ~= '' then
  redis.call('HINCRBY', KEYS[3], ARGV[5], 1)
end
unpark(KEYS[1], ARGV[2])

local answer = redis.call('HGETALL', KEYS[1])
table.insert(answer, 1, 'begun')
return answer
