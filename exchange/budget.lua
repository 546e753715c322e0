-- The arithmetic of exchange/budget.py for many processes: one script, so that every step is whole.
-- KEYS: state (hash), log (sorted set: member "id:weight", score = when it stops counting),
--       peaks (hash: minute -> most used).
-- ARGV: operation, limit, hold_ms, closed_ms, now_ms ("" = this server's clock), then its own.
local state, log, peaks = KEYS[1], KEYS[2], KEYS[3]
local operation = ARGV[1]
local limit, hold, shut = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local WINDOW, TOLERANCE, SLEW, LONGEST, FORGIVEN = 60000, 1000, 0.001, 600000, 120000

local now = tonumber(ARGV[5])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local minute = math.floor(now / 60000)
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')

local fields = redis.call('HMGET', state, 'run', 'last', 'used', 'closed', 'paused')
local last, used = tonumber(fields[2] or 0), tonumber(fields[3] or 0)
local closed, paused = tonumber(fields[4] or 0), tonumber(fields[5] or 0)

local function text(number) return string.format('%.0f', number) end
local function weight_of(member) return tonumber(string.match(member, ':(%d+)$')) end

-- Notice a lost log and a clock that went back; drop what no longer counts.
if fields[1] ~= run or (used > 0 and redis.call('EXISTS', log) == 0) then
  closed, used = now + shut, 0
  for _, member in ipairs(redis.call('ZRANGE', log, 0, -1)) do used = used + weight_of(member) end
elseif now < last then
  for _, member in ipairs(redis.call('ZRANGE', log, 0, -1)) do
    redis.call('ZADD', log, text(now + hold + WINDOW), member)
  end
  local left = paused - last
  paused = left > 0 and now + left or 0
  closed = now + shut
  redis.call('DEL', peaks)
end
local gone = '(' .. text(now)
for _, member in ipairs(redis.call('ZRANGEBYSCORE', log, '-inf', gone)) do
  used = used - weight_of(member)
end
redis.call('ZREMRANGEBYSCORE', log, '-inf', gone)

local function done(...)
  redis.call('HSET', state, 'run', run, 'last', text(now), 'used', text(used),
    'closed', text(closed), 'paused', text(paused))
  return {...}
end

-- By how many ms the clock is further ahead of the host's than it can be; 0 if it is not.
local function ahead(host, boot)
  if host == '' then return 0 end
  local offset = now - boot
  local known, at = string.match(redis.call('HGET', state, 'host:' .. host) or '', '^(%S+) (%S+)$')
  local allowed = tonumber(known or offset) + math.max(0, boot - tonumber(at or boot)) * SLEW
  if offset > allowed + TOLERANCE then return math.floor(offset - allowed - TOLERANCE) + 1 end
  redis.call('HSET', state, 'host:' .. host,
    string.format('%.3f %.0f', math.min(offset, allowed), boot))
  return 0
end

local function until_freed(weight)
  local entries = redis.call('ZRANGE', log, 0, -1, 'WITHSCORES')
  for i = 1, #entries, 2 do
    weight = weight - weight_of(entries[i])
    if weight <= 0 then return tonumber(entries[i + 1]) end
  end
  return now + WINDOW
end

local operations = {}

function operations.reserve(id, weight, host, boot)
  weight = tonumber(weight)
  local excess = ahead(host, tonumber(boot))
  if excess > 0 then return done('suspect', excess) end
  if closed > now then return done('closed', closed - now) end
  if paused > now then return done('paused', paused - now) end
  local member = id .. ':' .. weight
  if redis.call('ZSCORE', log, member) then return done('granted', 0) end
  local missing = used + weight - limit
  if missing > 0 then return done('full', until_freed(missing) - now + 1) end
  redis.call('ZADD', log, text(now + hold + WINDOW), member)
  used = used + weight
  local peak = redis.call('HGET', peaks, minute)
  if not peak then
    for _, at in ipairs(redis.call('HKEYS', peaks)) do
      if tonumber(at) <= minute - 60 then redis.call('HDEL', peaks, at) end
    end
  end
  redis.call('HSET', peaks, minute, math.max(tonumber(peak or 0), used))
  return done('granted', 0)
end

function operations.settle(id, weight, actual)
  local member, settled = id .. ':' .. weight, id .. ':' .. actual
  if redis.call('ZREM', log, member) == 1 then used = used - tonumber(weight) end
  if redis.call('ZREM', log, settled) == 1 then used = used - tonumber(actual) end
  if tonumber(actual) > 0 then
    redis.call('ZADD', log, text(now + WINDOW), settled)
    used = used + tonumber(actual)
  end
  return done()
end

function operations.pause(seconds)
  redis.call('HINCRBY', state, 'http_429_total', 1)
  local streak = tonumber(redis.call('HGET', state, 'streak') or 0)
  if now - paused > FORGIVEN then streak = 0 end
  if seconds == '' then
    if paused > now then return done(paused - now) end
    seconds = math.min(10 * 2 ^ streak, 60)
    streak = math.min(streak + 1, 3)
  end
  redis.call('HSET', state, 'streak', streak)
  paused = math.max(paused, now + math.floor(math.min(tonumber(seconds) * 1000, LONGEST)))
  return done(paused - now)
end

function operations.open()
  closed = 0
  return done()
end

function operations.close(host, boot)
  closed = now + shut
  redis.call('HSET', state, 'host:' .. host, string.format('%.3f %.0f', now - boot, boot))
  return done()
end

function operations.usage()
  local peak = 0
  local minutes = redis.call('HGETALL', peaks)
  for i = 1, #minutes, 2 do
    if tonumber(minutes[i]) > minute - 60 then peak = math.max(peak, tonumber(minutes[i + 1])) end
  end
  return done(used, math.max(0, closed - now), math.max(0, paused - now), peak,
    tonumber(redis.call('HGET', state, 'http_429_total') or 0))
end

return operations[operation](unpack(ARGV, 6))
