local function T(x)
  return string.format('%.0f', x)
end
-- The record of a red packet; Go reads it in record.go.
local function payload(s, left, la, q, f, cm, sd, fix)
  return '1;' .. s .. ';' .. left .. ';' .. la .. ';' .. q .. ';' .. f .. ';' .. cm .. ';' .. sd .. ';' .. fix
end
local function version()
  return EPOCH .. '-' .. T(vms) .. '-' .. T(vctr)
end
