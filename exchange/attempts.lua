-- The arithmetic of exchange/attempts.py for many processes: one script, so that every step is whole.
-- KEYS: state (hash: paced, worked), log (list: until when each attempt counts, the oldest first).
-- ARGV: operation, limit, every_ms, open_ms, counts_ms, now_ms ("" = this server's clock), works.
local state, log = KEYS[1], KEYS[2]
local operation, works = ARGV[1], ARGV[7]
local limit, every = tonumber(ARGV[2]), tonumber(ARGV[3])
local open, counts = tonumber(ARGV[4]), tonumber(ARGV[5])

local now = tonumber(ARGV[6])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local function note(field)
  redis.call('HSET', state, field, string.format('%.0f', now))
  redis.call('PEXPIRE', state, counts)
end

local function is_within(at, ms) return at and now - at >= 0 and now - at < ms end

if operation == 'ended' then
  if works == '1' then note('worked') else redis.call('HDEL', state, 'worked') end
  return 0
end

local fields = redis.call('HMGET', state, 'paced', 'worked')
local paced, worked = tonumber(fields[1] or nil), tonumber(fields[2] or nil)

local ends = {}
for _, until_ms in ipairs(redis.call('LRANGE', log, 0, -1)) do
  until_ms = tonumber(until_ms)
  if now < until_ms and until_ms <= now + counts then table.insert(ends, until_ms) end
end
table.insert(ends, now + counts)

-- Whether the limit holds all these attempts and one in every pace besides.
local function leaves_the_pace()
  for place, until_ms in ipairs(ends) do
    local besides = math.floor((until_ms - paced - 1) / every)
    if #ends - place + 1 + besides > limit then return false end
  end
  return true
end

if not is_within(paced, every) then
  note('paced')
elseif not is_within(worked, open) or not leaves_the_pace() then
  return paced + every - now
end
redis.call('DEL', log)
for _, until_ms in ipairs(ends) do redis.call('RPUSH', log, string.format('%.0f', until_ms)) end
redis.call('PEXPIRE', log, counts)
return 0
