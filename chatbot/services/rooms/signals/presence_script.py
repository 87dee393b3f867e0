"""The script by which processes exchange presence within Redis."""

EXPIRY_SECONDS = 10  # without a report, after which a process is dead
MAX_LOGGED = 256  # changes of a room; a process that has missed more reads all its users

# Of each room: a hash of the entries of users by process, a sorted set of the processes by their expiry, a list of the
# last changes, and a hash with the epoch and the number of changes. A flush begins another epoch.
EXCHANGE = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local process = ARGV[1]
local expiry = tonumber(ARGV[3])
local answers = {}
for index, report in ipairs(cjson.decode(ARGV[5])) do
  local room = KEYS[index]
  local processes = room .. ':processes'
  local log = room .. ':log'
  local state = room .. ':state'
  redis.call('HSETNX', state, 'epoch', ARGV[2])
  local function note(line)
    redis.call('RPUSH', log, line)
    redis.call('HINCRBY', state, 'number', 1)
  end
  local function remove(key)
    if redis.call('HDEL', room, key) == 1 then note('-' .. key .. ':') end
  end
  for _, dead in ipairs(redis.call('ZRANGEBYSCORE', processes, '-inf', now)) do
    redis.call('ZREM', processes, dead)
    for _, key in ipairs(redis.call('HKEYS', room)) do
      if string.sub(key, -#dead) == dead then remove(key) end
    end
  end
  local is_known = redis.call('ZSCORE', processes, process) and true or false
  for _, user in ipairs(report.joins) do
    local key = user[1] .. ':' .. process
    if redis.call('HSET', room, key, user[2]) == 1 then note('+' .. key .. ':' .. user[2]) end
  end
  for _, user in ipairs(report.leaves) do remove(user .. ':' .. process) end
  if report.is_left then
    redis.call('ZREM', processes, process)
  else
    redis.call('ZADD', processes, now + expiry, process)
  end
  redis.call('LTRIM', log, -ARGV[4], -1)
  for _, key in ipairs({room, processes, log, state}) do redis.call('EXPIRE', key, 6 * expiry) end
  local epoch = redis.call('HGET', state, 'epoch')
  local number = tonumber(redis.call('HGET', state, 'number') or 0)
  local missed = number - report.version[2]
  local is_whole = epoch ~= report.version[1] or missed < 0 or missed > redis.call('LLEN', log)
  local lines = {}
  if is_whole then
    local entries = redis.call('HGETALL', room)
    for place = 1, #entries, 2 do
      table.insert(lines, '+' .. entries[place] .. ':' .. entries[place + 1])
    end
  elseif missed > 0 then
    lines = redis.call('LRANGE', log, -missed, -1)
  end
  answers[index] = {version = {epoch, number}, is_whole = is_whole, is_known = is_known, lines = lines}
end
return cjson.encode(answers)
"""
