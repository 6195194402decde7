-- A part of hand_out and begin: what a timekeeper wrote of a job's wait ends with the wait.
--
-- `parked` says which mark a timekeeper wrote at which step, and which mark of the step itself lies beneath it; that
-- one comes back. A mark that a transition has written since is not touched.

local function unpark(record, step)
  local stored = redis.call('HMGET', record, 'parked', 'blocked_by')
  if not stored[1] then
    return
  end
  redis.call('HDEL', record, 'parked')
  local parked_step, word, own, own_until = string.match(stored[1], '^(%S*) (%S*) (%S*) (%S*)$')
  if parked_step ~= step or word ~= stored[2] then
    return
  end
  redis.call('HDEL', record, 'blocked_by', 'blocked_until')
  if own ~= '' then
    redis.call('HSET', record, 'blocked_by', own)
  end
  if own_until ~= '' then
    redis.call('HSET', record, 'blocked_until', own_until)
  end
end
