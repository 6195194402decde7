-- A part of the scripts of lanes: those that wait longest for an endpoint are looked at.
--
-- Whoever is due within a lease is being looked at already, and counts as one of them; an entry that is not in the due
-- index any more has ended otherwise, and leaves the line.

local function wake(due, waiting, places, at, leased_until)
  local number = 0
  while number < places do
    local id = redis.call('ZRANGE', waiting, number, number)[1]
    if not id then
      return
    end
    local score = redis.call('ZSCORE', due, id)
    if not score then
      redis.call('ZREM', waiting, id)
    else
      local due_at = string.find(score, 'inf') and math.huge or tonumber(score)
      if due_at > leased_until and due_at > at then
        redis.call('ZADD', due, string.format('%.3f', at), id)
      end
      number = number + 1
    end
  end
end
